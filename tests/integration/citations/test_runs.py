"""How much one run of a task, and of the reconciler, does for citations; the rest is called for."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, select, update

from app.events.hooks import call_for
from app.models.citation import Citation
from app.models.outbox import TaskCall
from app.services import (
    citation_graph,
    citation_targets,
    consistency,
    resources,
)
from app.services.library import Library
from app.tasks.task_names import TaskName
from tests.integration.citations.shelf import DOI, Shelf

pytestmark = pytest.mark.integration


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
