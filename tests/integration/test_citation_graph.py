"""Citations and their edges on both databases, whatever comes, changes and goes, in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, select, update

from app.content.document import ExtractedDocument
from app.events.event_types import EventType
from app.events.hooks import call_for
from app.knowledge.category_tree import Category
from app.knowledge.citations.link import Link
from app.models.base import new_id, now
from app.models.citation import Citation, CitationRank, ResourceKey
from app.models.classification import ResourceCategory
from app.models.derived import Counter, DerivedKind
from app.models.outbox import OPEN_STATES, EventRecord, TaskCall
from app.models.resource import IngestionState, Resource
from app.services import (
    category_codes,
    citation_edges,
    citation_graph,
    citation_pages,
    citation_ranks,
    citation_targets,
    citations,
    consistency,
    derived_states,
    duplicates,
    embeddings,
    neighbors,
    resources,
)
from app.services.library import Library
from app.services.taking_over import take_over
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration

DOI = "10.1234/zebra.7"


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


class Shelf:
    """Documents of a library, and the tasks that its hooks would call for them."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def put(self, content: str = "Nothing is cited here.", **fields: Any) -> UUID:
        """A new document, its citations extracted and resolved."""
        with self.library.work() as unit:
            made: UUID = resources.create(self.library, {"content": content, **fields}, unit=unit)["id"]
        self.build(made)
        return made

    def build(self, resource_id: UUID) -> None:
        citations.extract(self.library, resource_id, work=self.library.work)
        self.resolve(resource_id)

    def resolve(self, resource_id: UUID) -> None:
        citation_graph.update(self.library, resource_id, work=self.library.work)

    def rank(self) -> None:
        citation_ranks.rank(self.library, work=self.library.work)

    def edges(self) -> set[tuple[UUID, UUID]]:
        with self.library.database.reader() as session:
            rows = select(Citation.resource_id, Citation.target_resource_id).where(citation_edges.is_edge())
            return {(row[0], row[1]) for row in session.execute(rows) if row[1]}

    def listed(self, resource_id: UUID, **how: Any) -> list[dict[str, Any]]:
        with self.library.database.reader() as session:
            page = citation_pages.list_page(session, resource_id, **{"direction": "outgoing", "limit": 50, **how})
        return page.items

    def events(self, name: EventType) -> list[dict[str, Any]]:
        with self.library.database.reader() as session:
            rows = select(EventRecord.data).where(EventRecord.name == name).order_by(EventRecord.timestamp)
            return list(session.scalars(rows))

    def ranks(self) -> dict[UUID, float]:
        with self.library.database.reader() as session:
            return {row.resource_id: row.score for row in session.scalars(select(CitationRank))}

    def overview(self) -> dict[str, Any]:
        with self.library.database.reader() as session:
            return citation_pages.overview(session)


@pytest.fixture
def shelf(library: Library) -> Shelf:
    return Shelf(library)


def test_a_citation_is_resolved_whichever_of_the_two_comes_first(shelf: Shelf) -> None:
    early = shelf.put(f"As was shown (doi:{DOI}), zebras graze.")
    target = shelf.put(doi=DOI.upper())
    late = shelf.put(f"See https://doi.org/{DOI} for zebras.")

    assert shelf.edges() == {(early, target), (late, target)}
    assert [event["edges"] for event in shelf.events(EventType.GRAPH_EDGE_ADDED)] == [
        [{"source": str(source), "target": str(target)}] for source in (early, late)
    ]
    [item] = shelf.listed(early)
    assert (item["doi"], item["target_resource_id"], item["position"]) == (DOI, target, 18)
    assert "As was shown" in item["context"]
    assert [item["resource_id"] for item in shelf.listed(target, direction="incoming")] == [early, late]


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("Read arXiv:1406.5823v2 on this.", {"arxiv_id": "1406.5823"}),
        ("Key words are as in RFC 2119.", {"title": "RFC 2119: Key words"}),
        ("Key words are as in [RFC2119].", {"source": "https://www.rfc-editor.org/rfc/rfc2119.txt"}),
        ("It is at http://www.example.org/a/?utm_source=x today.", {"source": "https://example.org/a#top"}),
        ("ISBN 0-387-95284-5 is a book.", {"identifier": "ISBN 978-0-387-95284-0"}),
    ],
)
def test_a_document_is_found_by_whatever_identifies_it(shelf: Shelf, text: str, identity: dict[str, Any]) -> None:
    source, target = shelf.put(text), shelf.put(**identity)

    assert shelf.edges() == {(source, target)}


@pytest.mark.parametrize(
    "address",
    [
        f"https://doi.org/10.1234/{'a' * 1500}",
        f"https://arxiv.org/abs/{'1' * 500}",
        f"https://doi.org/10.48550/arxiv.{'1' * 100}",
        f"10.1234/{'a' * 249}-\n{'b' * 100}",
    ],
    ids=["doi", "arxiv", "doi of arxiv", "doi on two lines"],
)
def test_what_is_longer_than_any_identifier_is_none_and_hinders_nobody(shelf: Shelf, address: str) -> None:
    target = shelf.put(doi=DOI)
    source = shelf.put(f"See {address} and doi:{DOI}.")
    shelf.put(source=address, doi=address[:900], arxiv_id=address[:900])

    assert (source, target) in shelf.edges()


def test_a_page_that_states_its_doi_is_found_by_it(library: Library, shelf: Shelf) -> None:
    source, page = shelf.put(f"doi:{DOI}"), new_id()
    with library.work() as unit:
        resource = Resource(id=page, ingestion_status=IngestionState.PENDING)
        unit.session.add(resource)
        unit.session.flush()
        document = ExtractedDocument(text="Zebras.", media_type="text/html", doi=DOI)
        take_over(unit, resource, document, text_sha256=duplicates.fingerprint("Zebras."), moment=now())
    shelf.build(page)

    assert shelf.edges() == {(source, page)}


def test_a_document_that_names_itself_cites_nothing_by_it(shelf: Shelf) -> None:
    own = shelf.put("This is RFC 2119. See RFC 8174.", title="RFC 2119: Key words")

    assert shelf.edges() == set()
    assert [item["rfc"] for item in shelf.listed(own)] == [8174]
    assert shelf.overview()["citations"] == 1


def test_edges_follow_a_target_that_changes_its_identity(library: Library, shelf: Shelf) -> None:
    source, target = shelf.put(f"doi:{DOI} and doi:10.1234/other"), shelf.put(doi=DOI)

    resources.update(library, target, {"title": "Another title"})
    assert shelf.events(EventType.RESOURCE_IDENTITY_CHANGED) == []

    resources.update(library, target, {"doi": "10.1234/other"})
    shelf.resolve(target)
    by_doi = {item["doi"]: item["target_resource_id"] for item in shelf.listed(source)}
    assert by_doi == {DOI: None, "10.1234/other": target}

    resources.update(library, target, {"doi": None})
    shelf.resolve(target)
    assert shelf.edges() == set()
    assert len(shelf.events(EventType.RESOURCE_IDENTITY_CHANGED)) == 2


def test_a_deleted_target_leaves_no_ghost_and_its_twin_takes_its_place(library: Library, shelf: Shelf) -> None:
    source, target, twin = shelf.put(f"doi:{DOI}"), shelf.put(doi=DOI), shelf.put("A twin.", doi=DOI)
    assert shelf.edges() == {(source, target)}

    resources.delete(library, target)
    assert [item["target_resource_id"] for item in shelf.listed(source)] == [None]  # at once, before any task
    assert shelf.overview()["edges"] == 0
    shelf.resolve(target)
    assert shelf.edges() == {(source, twin)}

    resources.delete(library, twin)
    shelf.resolve(twin)
    assert shelf.edges() == set()
    assert shelf.events(EventType.GRAPH_EDGE_REMOVED)[-1]["edges"] == [{"source": str(source), "target": str(twin)}]


def test_a_deleted_source_takes_its_citations_with_it(library: Library, shelf: Shelf) -> None:
    target, source = shelf.put(doi=DOI), shelf.put(f"doi:{DOI}, RFC 2119", doi="10.1234/source")
    resources.delete(library, source)

    assert shelf.listed(target, direction="incoming") == []
    shelf.resolve(source)

    with library.database.reader() as session:
        assert session.scalar(select(func.count()).select_from(Citation)) == 0
        assert set(session.scalars(select(ResourceKey.resource_id))) == {target}


def test_an_edit_keeps_the_edges_of_what_is_still_cited(library: Library, shelf: Shelf) -> None:
    target, other = shelf.put(doi=DOI), shelf.put(arxiv_id="1406.5823")
    source = shelf.put(f"doi:{DOI} and arXiv:1406.5823")
    before = {item["target_resource_id"]: item["id"] for item in shelf.listed(source)}

    resources.update(library, source, {"content": f"Only doi:{DOI} is left."})
    citations.extract(library, source, work=library.work)

    assert {item["target_resource_id"]: item["id"] for item in shelf.listed(source)} == {target: before[target]}
    assert shelf.events(EventType.GRAPH_EDGE_REMOVED)[-1]["edges"] == [{"source": str(source), "target": str(other)}]


def test_the_links_of_a_text_go_with_it(library: Library, shelf: Shelf) -> None:
    source = new_id()
    text = "Read the manual and the tale."
    links = (Link(href="https://example.org/manual", text="manual", position=9),)
    with library.work() as unit:
        unit.session.add(Resource(id=source, ingestion_status=IngestionState.PENDING))
        unit.session.flush()
        document = ExtractedDocument(text=text, media_type="text/html", links=links)
        resource = derived_states.lock_resource(unit.session, source)
        assert resource is not None
        take_over(unit, resource, document, text_sha256=duplicates.fingerprint(text), moment=now())
    shelf.build(source)
    assert [(item["url"], item["position"], item["raw"]) for item in shelf.listed(source)] == [
        ("https://example.org/manual", 9, "manual")
    ]

    resources.update(library, source, {"content": "Read the manual no more."})
    shelf.build(source)
    assert shelf.listed(source) == []


def read_again(library: Library, resource_id: UUID, text: str, *hrefs: str) -> None:
    """What ingestion does with a page of this text, with these links at its beginning."""
    with library.work() as unit:
        resource = derived_states.lock_resource(unit.session, resource_id)
        assert resource is not None
        links = tuple(Link(href=href, text="", position=0) for href in hrefs)
        document = ExtractedDocument(text=text, media_type="text/html", links=links)
        take_over(unit, resource, document, text_sha256=duplicates.fingerprint(text), moment=now())


def open_extractions(library: Library, resource_id: UUID) -> int:
    with library.database.reader() as session:
        calls = select(func.count()).where(
            TaskCall.subject == resource_id,
            TaskCall.task == TaskName.EXTRACT_CITATIONS,
            TaskCall.state.in_(OPEN_STATES),
        )
        return session.scalar(calls) or 0


def test_the_same_text_with_other_links_cites_what_they_lead_to(library: Library, shelf: Shelf) -> None:
    text, old, new = "Read the manual.", "https://example.org/old", "https://example.org/new"
    target = shelf.put(source=new)
    source = new_id()
    with library.work() as unit:
        unit.session.add(Resource(id=source, ingestion_status=IngestionState.PENDING))
    read_again(library, source, text, old)
    shelf.build(source)
    with library.work() as unit:
        unit.session.execute(delete(TaskCall))

    read_again(library, source, text, old)
    assert open_extractions(library, source) == 0  # nothing new
    read_again(library, source, text, new)
    assert open_extractions(library, source) == 1
    with library.database.reader() as session:
        assert derived_states.built_from(session, source, DerivedKind.CITATIONS) == 0
    shelf.build(source)

    assert [(item["url"], item["target_resource_id"]) for item in shelf.listed(source)] == [(new, target)]
    with library.database.reader() as session:
        assert session.get_one(Resource, source).content_version == 1


def test_an_extraction_of_links_that_are_others_by_now_writes_nothing(library: Library, shelf: Shelf) -> None:
    text, old, new = "Read the manual.", "https://example.org/old", "https://example.org/new"
    source = new_id()
    with library.work() as unit:
        unit.session.add(Resource(id=source, ingestion_status=IngestionState.PENDING))
    read_again(library, source, text, old)

    def late() -> AbstractContextManager[UnitOfWork]:
        read_again(library, source, text, new)
        return library.work()

    citations.extract(library, source, work=late)
    assert shelf.listed(source) == []
    shelf.build(source)

    assert [item["url"] for item in shelf.listed(source)] == [new]


def test_a_second_run_of_each_task_writes_and_says_nothing(library: Library, shelf: Shelf) -> None:
    source, target = shelf.put(f"doi:{DOI} and RFC 2119"), shelf.put(doi=DOI)
    shelf.rank()
    written: list[str] = []

    def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.split(" ", 1)[0] in {"INSERT", "UPDATE", "DELETE"}:
            written.append(statement)

    event.listen(library.database.engine, "before_cursor_execute", look)
    for one in (source, target):
        shelf.build(one)
    shelf.rank()
    event.remove(library.database.engine, "before_cursor_execute", look)

    assert written == []


def together(*acts: Callable[[], None]) -> None:
    """All at once, each in a thread; what one raises is raised here."""
    barrier, failed = Barrier(len(acts)), []

    def run(act: Callable[[], None]) -> None:
        barrier.wait()
        try:
            act()
        except Exception as error:  # noqa: BLE001 — whatever it is
            failed.append(error)

    threads = [Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_documents_that_cite_each_other_are_resolved_at_once_without_a_deadlock(library: Library, shelf: Shelf) -> None:
    dois = [f"10.1234/{number}" for number in range(6)]
    text = " ".join(f"doi:{doi}" for doi in dois)
    made = []
    for doi in dois:
        with library.work() as unit:
            made.append(resources.create(library, {"content": f"{text} {doi}", "doi": doi}, unit=unit)["id"])

    def edit(one: UUID) -> None:
        resources.update(library, one, {"content": f"{text} edited"})
        shelf.build(one)

    together(*(lambda one=one: shelf.build(one) for one in (*made, *made)))
    together(*(lambda one=one: edit(one) for one in made), *(lambda one=one: shelf.resolve(one) for one in made))
    for one in made:
        shelf.build(one)

    assert shelf.edges() == {(one, other) for one in made for other in made if one != other}


def test_a_target_that_is_deleted_while_it_is_cited_is_no_ghost(library: Library, shelf: Shelf) -> None:
    for _ in range(5):
        with library.work() as unit:
            source = resources.create(library, {"content": f"doi:{DOI}"}, unit=unit)["id"]
        target = shelf.put(doi=DOI)
        together(partial(shelf.build, source), partial(resources.delete, library, target))
        with library.database.reader() as session:
            deleted = select(EventRecord.data).where(
                EventRecord.name == EventType.RESOURCE_DELETED, EventRecord.subject == target
            )
            if session.scalars(deleted).one()["touches_graph"]:
                shelf.resolve(target)

        assert shelf.edges() == set()
        resources.delete(library, source)


def test_a_twin_is_found_though_the_target_goes_while_it_is_aimed_at(
    migrated_postgres_url: str, cache_url: str
) -> None:
    with a_library(database_url=migrated_postgres_url, cache_url=cache_url) as library:
        shelf = Shelf(library)
        target, twin = shelf.put(doi=DOI), shelf.put("A twin.", doi=DOI)
        with library.work() as unit:
            source = resources.create(library, {"content": f"doi:{DOI}"}, unit=unit)["id"]
        citations.extract(library, source, work=library.work)
        with library.work() as unit:
            unit.session.execute(delete(TaskCall))
        going = [target]

        def look(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if "FOR KEY SHARE" in statement and going:
                resources.delete(library, going.pop())

        event.listen(library.database.engine, "before_cursor_execute", look)
        shelf.resolve(source)
        event.remove(library.database.engine, "before_cursor_execute", look)

        with library.database.reader() as session:
            again = session.scalars(
                select(TaskCall.subject).where(TaskCall.task == TaskName.UPDATE_CITATION_GRAPH)
            ).all()
        assert again == [source]
        shelf.resolve(source)
        assert shelf.edges() == {(source, twin)}


def test_what_an_import_brings_back_meanwhile_keeps_its_citations(library: Library, shelf: Shelf) -> None:
    target, source = shelf.put(doi=DOI), shelf.put(f"doi:{DOI}")
    resources.delete(library, source)

    def late() -> AbstractContextManager[UnitOfWork]:
        with library.work() as unit:
            unit.session.get_one(Resource, source).deleted_at = None
        return library.work()

    citation_graph.update(library, source, work=late)

    assert shelf.edges() == {(source, target)}


def test_more_than_one_run_takes_is_gone_on_with(library: Library, shelf: Shelf) -> None:
    sources = [shelf.put(f"doi:{DOI} number {number}") for number in range(3)]
    target = shelf.put(doi=DOI)
    with library.work() as unit:
        unit.session.execute(Citation.__table__.update().values(target_resource_id=None))  # type: ignore[attr-defined]  # a table

    with library.work() as unit:
        citation_graph.aim(unit, target, most=2)
    assert len(shelf.edges()) == 2
    with library.database.reader() as session:
        key = call_for(TaskName.UPDATE_CITATION_GRAPH, str(target)).coalesce_key
        assert session.scalar(select(func.count()).where(TaskCall.coalesce_key == key)) == 1
    shelf.resolve(target)
    assert shelf.edges() == {(source, target) for source in sources}


def test_what_is_cited_most_has_the_highest_rank(library: Library, shelf: Shelf) -> None:
    target = shelf.put(doi=DOI)
    sources = [shelf.put(f"doi:{DOI} number {number}") for number in range(3)]
    shelf.put("Alone.")
    shelf.rank()

    ranks = shelf.ranks()
    assert set(ranks) == {target, *sources}
    assert sum(ranks.values()) == pytest.approx(1)
    assert max(ranks, key=lambda one: ranks[one]) == target
    overview = shelf.overview()
    assert (overview["resources"], overview["resolved"], overview["edges"]) == (5, 3, 3)
    assert overview["top"][0]["resource_id"] == target

    resources.delete(library, sources[0])
    shelf.resolve(sources[0])
    shelf.rank()
    assert set(shelf.ranks()) == {target, *sources[1:]}


def test_a_ranking_of_older_edges_replaces_none_of_newer_ones(library: Library, shelf: Shelf) -> None:
    shelf.put(doi=DOI)
    shelf.put(f"doi:{DOI}")
    shelf.rank()
    ranks = shelf.ranks()
    with library.work() as unit:
        unit.session.get_one(Counter, citation_ranks.RANKED).value += 10

    shelf.put(f"Another that cites doi:{DOI}")
    shelf.rank()

    assert shelf.ranks() == ranks


def test_pages_of_citations_repeat_and_leave_out_nothing(library: Library, shelf: Shelf) -> None:
    source = shelf.put(" ".join(f"RFC {number}" for number in range(1000, 1007)))
    with library.database.reader() as session:
        found, cursor = [], None
        while True:
            page = citation_pages.list_page(session, source, direction="outgoing", limit=3, cursor=cursor)
            found += [item["rfc"] for item in page.items]
            assert page.total == 7
            if (cursor := page.next_cursor) is None:
                break

    assert found == list(range(1000, 1007))


def test_neighbours_are_by_meaning_and_by_citation_and_never_an_old_list(library: Library, shelf: Shelf) -> None:
    one = shelf.put("Zebras graze on the plain in the morning sun.", subject=["zebra"])
    like = shelf.put("Zebras graze on the plain in the evening sun.", subject=["Zebra"])
    for made in (one, like):
        embeddings.regenerate(library, made, work=library.work)
    assert [item["resource_id"] for item in neighbors.read(library, one, hops=1, limit=10)] == [str(like)]

    far = shelf.put("Quantum field theory.", doi="10.1234/far")
    middle = shelf.put("Cited: doi:10.1234/far", arxiv_id="1406.5823")
    resources.update(library, one, {"content": "Zebras graze, says arXiv:1406.5823 on the plain in the morning sun."})
    shelf.build(one)
    embeddings.regenerate(library, one, work=library.work)

    near = {item["resource_id"]: item for item in neighbors.read(library, one, hops=2, limit=10)}
    assert {key: item["hops"] for key, item in near.items()} == {str(like): None, str(middle): 1, str(far): 2}
    assert near[str(middle)]["score"] > near[str(far)]["score"]
    assert near[str(like)]["tags"] == 1
    assert str(far) not in {item["resource_id"] for item in neighbors.read(library, one, hops=1, limit=10)}

    resources.delete(library, middle)
    assert str(middle) not in {item["resource_id"] for item in neighbors.read(library, one, hops=2, limit=10)}


def test_neighbours_are_of_one_class_by_the_class_in_force_and_the_tree_as_it_is_now(
    library: Library, shelf: Shelf
) -> None:
    one = shelf.put("Zebras graze on the plain in the morning sun.", classification_code="020")
    like = shelf.put("Zebras graze on the plain in the evening sun.")
    for made in (one, like):
        embeddings.regenerate(library, made, work=library.work)
    assert not neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]

    with library.work() as unit:
        said = {"confidence": 0.9, "classifier": "zero-shot", "built_from": 1}
        unit.session.add(ResourceCategory(resource_id=like, predicted="000", **said))
        unit.emit(EventType.CLASSIFICATION_COMPLETED, {"resource_id": str(like)})
    assert neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]

    category_codes.change(library, Category(code="020", parent="500", label="Libraries"))
    assert not neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]


def test_wrong_targets_that_no_call_mends_are_counted_and_called_for(library: Library, shelf: Shelf) -> None:
    def counted() -> int:
        with library.database.reader() as session:
            seen = consistency.overview(session, embedding_model=library.embedding_model)
        assert not seen["converged"]  # the other kinds are not built
        return int(seen["stale_citation_targets"])

    def lose_calls() -> None:
        with library.database.writer() as session:
            session.execute(delete(TaskCall))

    source, target = shelf.put(f"See doi:{DOI} for zebras."), shelf.put(doi=DOI)
    lose_calls()
    assert (counted(), citation_targets.reconcile(library)) == (0, 0)

    aim = update(Citation).where(Citation.resource_id == source)
    with library.database.writer() as session:  # at nothing, though its work is there
        session.execute(aim.values(target_resource_id=None))
    assert counted() == 1
    assert [citation_targets.reconcile(library) for _ in range(2)] == [1, 0]  # called for already
    assert counted() == 1
    shelf.resolve(source)
    assert (counted(), shelf.edges()) == (0, {(source, target)})

    resources.delete(library, target)  # at a tombstone
    assert citation_targets.reconcile(library) == 0  # the deletion has called for it
    lose_calls()
    assert counted() == 1
    assert consistency.repair(library)["citation_targets"] == 1
    shelf.resolve(source)
    assert (counted(), shelf.edges()) == (0, set())


def test_the_citations_of_a_slice_of_documents_are_looked_at_in_each_run(library: Library, shelf: Shelf) -> None:
    shelf.put(doi=DOI)
    for _ in range(4):
        shelf.put(f"See doi:{DOI} for zebras.")
    with library.database.writer() as session:
        session.execute(update(Citation).values(target_resource_id=None))
        session.execute(delete(TaskCall))

    assert [citation_targets.reconcile(library, most=2) for _ in range(4)] == [1, 2, 1, 0]
