"""Citations that are resolved while others are, and while documents go and come back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from threading import Barrier, Thread
from uuid import UUID

import pytest
from sqlalchemy import delete, event, select

from app.events.event_types import EventType
from app.models.outbox import EventRecord, TaskCall
from app.models.resource import Resource
from app.services import (
    citation_graph,
    citations,
    resources,
)
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from tests.integration.citations.shelf import DOI, Shelf
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


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
