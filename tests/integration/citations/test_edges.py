"""Edges of citations on both databases, whatever comes, changes and goes, in whatever order."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, select

from app.content.document import ExtractedDocument
from app.events.event_types import EventType
from app.knowledge.citations.link import Link
from app.models.base import new_id, now
from app.models.citation import Citation, ResourceKey
from app.models.derived import DerivedKind
from app.models.outbox import OPEN_STATES, TaskCall
from app.models.resource import IngestionState, Resource
from app.services import (
    citations,
    derived_states,
    duplicates,
    resources,
)
from app.services.library import Library
from app.services.taking_over import take_over
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from tests.integration.citations.shelf import DOI, Shelf

pytestmark = pytest.mark.integration


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


def test_no_edge_leads_from_a_deleted_document_to_what_comes_later(shelf: Shelf) -> None:
    """It had no edge, so nothing was called for at its deletion, and its citations stand until it is swept."""
    gone = shelf.put(f"As was shown (doi:{DOI}), zebras graze.")
    resources.delete(shelf.library, gone)

    shelf.put(doi=DOI)

    assert shelf.edges() == set()
    assert shelf.events(EventType.GRAPH_EDGE_ADDED) == []


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
    overview = shelf.overview()
    assert (overview["citations"], sum(overview["by_type"].values())) == (1, 1)


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
