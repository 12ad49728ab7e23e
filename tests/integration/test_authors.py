"""Authors on both databases: normalised, merged, split and counted, whatever comes in which order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import delete, select, text, update

from app.errors import InvalidInput, NotFound
from app.index.documents import Filters
from app.models.author import Author, AuthorVariant, ResourceAuthor
from app.models.base import now
from app.models.derived import DerivedKind, DerivedState
from app.models.outbox import TaskCall
from app.models.resource import Resource
from app.services import (
    author_decisions,
    author_groups,
    author_pages,
    authors,
    cached_search,
    consistency,
    derived_states,
    resources,
    search_indexing,
)
from app.services.library import Library
from chaos.polling import poll_until
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox

pytestmark = pytest.mark.integration

ORCID = "0000-0002-1825-0097"
BY_LINES = (
    ["J. Postel", "J. Reynolds"],
    ["Jon Postel", "Joyce Reynolds"],
    ["Postel, J."],
    ["José García", "Ann Lee"],
    [f"Jose Garcia ({ORCID})"],
    ["James Lee", "R Core Team"],
    ["A. Lee", "J. García"],
    ["Smith, Mary; Jones, Bob"],
    [f"M. Brown ({ORCID})"],
)
Known = set[tuple[str, str | None, int, frozenset[str]]]


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


def write(library: Library, *names: str) -> UUID:
    """A document with these authors, normalised."""
    resource_id = Outbox(library).resource(authors=list(names))
    authors.normalise(library, resource_id, work=library.work)
    return resource_id


def known(library: Library) -> Known:
    """Every author: name, ORCID iD, number of documents, and all names."""
    with library.database.reader() as session:
        names = {row.id: row for row in session.scalars(select(AuthorVariant))}
        return {
            (one.name, one.orcid, one.document_count, frozenset(v.key for v in names.values() if v.author_id == one.id))
            for one in session.scalars(select(Author))
        }


def author_of(library: Library, name: str) -> UUID:
    [found] = author_pages.list_page(library, query=name, limit=10, cursor=None).items
    return found.id


def names_of(library: Library, name: str) -> set[str]:
    with library.database.reader() as session:
        return {row.name for row in author_pages.variants_of(session, author_of(library, name))}


def test_the_order_of_arrival_changes_nothing(library: Library) -> None:
    ids = {number: write(library, *names) for number, names in enumerate(BY_LINES)}
    first = known(library)
    assert ("Jon Postel", None, 3, frozenset(("postel|jon|", "postel|j|"))) in first

    order = list(ids)
    random.Random(7).shuffle(order)
    with library.database.writer() as session:
        for resource in session.scalars(select(Resource)):
            resource.deleted_at = now()
    for number in order:
        authors.normalise(library, ids[number], work=library.work)
    assert known(library) == set()
    random.Random(8).shuffle(order)
    for number in order:
        write(library, *BY_LINES[number])

    assert known(library) == first


def test_names_that_earlier_rules_grouped_are_grouped_anew(library: Library) -> None:
    for name in ("Jon Postel", "J. Postel"):
        write(library, name)
    last = write(library, "Jon Postel", "Ann Lee")
    right = known(library)
    with library.database.writer() as session:
        session.execute(
            update(AuthorVariant)
            .where(AuthorVariant.key == "postel|j|")
            .values(author_id=author_groups.id_of("lee|ann|"))
        )
        of_authors = DerivedState.kind == DerivedKind.AUTHORS
        session.execute(update(DerivedState).where(of_authors).values(revision=1))
    assert known(library) != right

    authors.normalise(library, last, work=library.work)

    assert known(library) == right


def test_two_workers_at_once_come_to_the_same(library: Library) -> None:
    ids = [Outbox(library).resource(authors=list(names)) for names in BY_LINES * 2]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda one: authors.normalise(library, one, work=library.work), [*ids, *reversed(ids)]))
    together = known(library)
    with library.database.writer() as session:
        with_names = select(AuthorVariant.block)
        author_groups.hold(session)
        author_groups.regroup(session, set(session.scalars(with_names)))

    assert known(library) == together
    assert {count for name, _, count, _ in together if name == "Jon Postel"} == {6}


def test_an_author_who_is_named_twice_stands_where_he_is_named_first() -> None:
    mentions = authors.mentions_of(Resource(authors=["Ann Lee", "Bob Ray", "Lee, Ann"]))

    assert [one.name.written for one in mentions] == ["Ann Lee", "Bob Ray"]


def test_an_edit_and_a_deletion_change_the_counts_and_leave_no_empty_author(library: Library) -> None:
    first, second = write(library, "Ann Lee"), write(library, "Ann Lee", "Bob Ray")
    resources.update(library, second, {"authors": ["Bob Ray"]})
    authors.normalise(library, second, work=library.work)
    assert {(name, count) for name, _, count, _ in known(library)} == {("Ann Lee", 1), ("Bob Ray", 1)}

    resources.delete(library, first)
    authors.normalise(library, first, work=library.work)
    assert {name for name, *_ in known(library)} == {"Bob Ray"}
    with library.database.reader() as session:
        assert set(session.scalars(select(ResourceAuthor.resource_id))) == {second}


def test_names_left_behind_by_a_deletion_are_found_and_taken_away(library: Library) -> None:
    one = write(library, "Ann Lee")
    resources.delete(library, one)
    with library.database.writer() as session:
        session.execute(delete(TaskCall))

    assert consistency.reconcile(embedding_model=library.embedding_model, work=library.work)["authors"] == 1
    authors.normalise(library, one, work=library.work)

    assert known(library) == set()
    assert consistency.reconcile(embedding_model=library.embedding_model, work=library.work)["authors"] == 0


def test_what_a_person_splits_stays_apart_and_what_a_person_merges_stays_together(library: Library) -> None:
    write(library, "J. Postel", "J. Reynolds")
    write(library, "Jon Postel", "Joyce Reynolds")
    jon = author_of(library, "Jon Postel")
    assert names_of(library, "Jon Postel") == {"Jon Postel", "J. Postel"}

    parts = author_decisions.split(library, jon, variant_ids=[author_groups.id_of("postel|j|")], resource_ids=[])
    assert parts.author_id == jon
    again = write(library, "J. Postel", "Joyce Reynolds")
    assert names_of(library, "Jon Postel") == {"Jon Postel"}

    resources.delete(library, again)
    authors.normalise(library, again, work=library.work)
    assert author_decisions.merge(library, parts.split_off[0], [jon]) == jon
    assert names_of(library, "Jon Postel") == {"Jon Postel", "J. Postel"}
    with library.database.reader() as session:
        [joined] = [row for row in author_pages.variants_of(session, jon) if row.id != jon]
        assert author_pages.find(session, parts.split_off[0]).id == jon  # the old id is still good
    assert (joined.reason, joined.linked_to) == ("by_hand", "postel|jon|")


def test_two_of_one_name_are_told_apart_by_their_documents(library: Library) -> None:
    first, second, third = (write(library, "Ann Lee", fellow) for fellow in ("Bob Ray", "Cid Fox", "Dan Orr"))
    ann = author_of(library, "Ann Lee")

    parts = author_decisions.split(library, ann, variant_ids=[], resource_ids=[second, third])
    for one in (first, second, third):
        resources.update(library, one, {"authors": ["Ann Lee", "Eve Ham"]})
        authors.normalise(library, one, work=library.work)

    with library.database.reader() as session:
        documents = {
            author: {one.id for one in author_pages.documents_of(session, author, limit=10, cursor=None).items}
            for author in (ann, *parts.split_off)
        }
    assert documents == {ann: {first}, parts.split_off[0]: {second, third}}
    author_decisions.merge(library, ann, parts.split_off)
    assert {count for name, _, count, _ in known(library) if name == "Ann Lee"} == {3}


def test_a_split_and_a_task_on_one_document_wait_for_each_other_in_one_order(
    migrated_postgres_url: str, cache_url: str
) -> None:
    with a_library(database_url=migrated_postgres_url, cache_url=cache_url) as library:
        write(library, "Ann Lee")
        second = write(library, "Ann Lee", "Bob Ray")
        ann = author_of(library, "Ann Lee")

        def is_waiting() -> bool:
            with library.database.reader() as session:
                here = "datname = current_database() AND wait_event_type = 'Lock'"
                return bool(session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {here}")))

        with ThreadPoolExecutor(max_workers=1) as pool:
            with library.work() as unit:  # as a task does
                assert derived_states.lock_for_build(unit.session, second, DerivedKind.AUTHORS, version=1) is not None
                parts = pool.submit(author_decisions.split, library, ann, variant_ids=[], resource_ids=[second])
                poll_until(is_waiting, within_seconds=10, what="the split waits")
                author_groups.hold(unit.session)
            assert len(parts.result(timeout=10).split_off) == 1


def test_a_decision_outlives_the_documents_it_was_made_on(library: Library) -> None:
    one, other = write(library, "Ann Lee"), write(library, "Ann Ray")
    author_decisions.merge(library, author_of(library, "Ann Lee"), [author_of(library, "Ann Ray")])
    for gone in (one, other):
        resources.delete(library, gone)
        authors.normalise(library, gone, work=library.work)
    assert known(library) == set()

    write(library, "Ann Ray")
    write(library, "Ann Lee")
    assert names_of(library, "Ann Lee") == {"Ann Lee", "Ann Ray"}


def test_of_three_that_are_one_two_stay_one_when_the_documents_of_the_third_go(library: Library) -> None:
    documents = {name: write(library, name) for name in ("Ann Fox", "Ann Lee", "Ann Ray", "Ann Tan")}
    of = {name: author_of(library, name) for name in documents}
    author_decisions.merge(library, of["Ann Lee"], [of["Ann Fox"], of["Ann Ray"]])
    author_decisions.merge(library, of["Ann Lee"], [of["Ann Tan"]])

    for gone in ("Ann Lee", "Ann Fox"):
        resources.delete(library, documents[gone])
        authors.normalise(library, documents[gone], work=library.work)
    assert names_of(library, "Ann Ray") == {"Ann Ray", "Ann Tan"}

    author_decisions.split(library, of["Ann Ray"], variant_ids=[of["Ann Tan"]], resource_ids=[])
    assert names_of(library, "Ann Ray") == {"Ann Ray"}


@pytest.mark.parametrize(("variants", "documents"), [(["lee|ann|"], 0), (["ray|bob|"], 0), ([], 1), ([], 2)], ids=repr)
def test_a_split_must_leave_and_take_something(library: Library, variants: Sequence[str], documents: int) -> None:
    ids = [write(library, "Ann Lee"), write(library, "Bob Ray")]
    wanted = [author_groups.id_of(key) for key in variants]

    with pytest.raises(InvalidInput):
        author_decisions.split(library, author_of(library, "Ann Lee"), variant_ids=wanted, resource_ids=ids[:documents])


def test_a_merge_needs_authors_who_may_be_one(library: Library) -> None:
    write(library, f"Ann Lee ({ORCID})", "Bob Ray (0000-0001-5109-3700)")
    ann, bob = author_of(library, "Ann Lee"), author_of(library, "Bob Ray")

    assert author_decisions.merge(library, ann, [ann]) == ann
    with pytest.raises(InvalidInput, match="ORCID"):
        author_decisions.merge(library, ann, [bob])
    with pytest.raises(NotFound):
        author_decisions.merge(library, ann, [UUID(int=1)])


def test_authors_are_found_by_any_name_and_documents_by_author(library: Library) -> None:
    ids = [write(library, "José García"), write(library, f"Jose Garcia ({ORCID})"), write(library, "Ann Lee")]
    for one in ids:
        search_indexing.update(library, one, work=library.work)

    page = author_pages.list_page(library, query="garcia jo", limit=1, cursor=None)
    assert [(one.name, one.document_count) for one in page.items] == [("José García", 2)]
    first = author_pages.list_page(library, query="", limit=1, cursor=None)
    rest = author_pages.list_page(library, query="", limit=1, cursor=first.next_cursor)
    assert [one.name for one in (*first.items, *rest.items)] == ["José García", "Ann Lee"]
    assert (rest.next_cursor, rest.total) == (None, 2)

    written_by = Filters(author=[author_groups.id_of("garcia|jose|")])
    found = cached_search.search(library, "zebras", mode="keyword", filters=written_by, limit=10)
    assert {hit.id for hit in found.items} == set(ids[:2])
