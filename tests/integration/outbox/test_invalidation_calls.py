"""The durable half of cache invalidation: kept until it is certain that nothing old is cached."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.database import Database
from app.events import execution, outbox
from app.events.event_system import EventEmitter
from app.events.event_types import EventType
from app.events.execution import StartedCall
from app.models.base import now
from app.models.outbox import CallState, TaskCall
from app.services.unit_of_work import unit_of_work
from app.tasks.task_names import TaskName
from tests.integration.outbox.claims import claim_due
from tests.integration.outbox.edits import Begin, edit


class Cache:
    """A cache that answers, or does not."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def delete_all(self, patterns: Iterable[str]) -> bool:
        return self._answers


@pytest.fixture
def running(database: Database, begin: Begin, resource_id: UUID) -> StartedCall:
    """An embedding call that runs; no invalidation waits."""
    edit(begin, resource_id, version=2)
    with database.writer() as session:
        for call in session.scalars(select(TaskCall).where(TaskCall.task == TaskName.INVALIDATE_CACHE)):
            session.delete(call)
        [claimed] = claim_due(session, queue="ml_tasks", limit=1, moment=now() + timedelta(minutes=1))
        started = execution.start(
            session, claimed.id, generation=1, owner="w", lease=timedelta(seconds=15), moment=now()
        )
    assert started is not None
    return started


def write_effect(database: Database, call: StartedCall, *, cache: Cache) -> None:
    with unit_of_work(database, emitter=EventEmitter(), cache=cache, debounce_scale=1.0, call=call) as unit:
        unit.emit(EventType.EMBEDDING_GENERATED, {"resource_id": str(call.subject), "content_version": 2})


def waiting_invalidations(database: Database) -> list[TaskCall]:
    waiting = select(TaskCall).where(TaskCall.task == TaskName.INVALIDATE_CACHE, TaskCall.state == CallState.WAITING)
    with database.reader() as session:
        return list(session.scalars(waiting))


def test_a_worker_takes_the_call_back_once_the_cache_holds_nothing_old(
    database: Database, running: StartedCall
) -> None:
    write_effect(database, running, cache=Cache(answers=True))

    assert waiting_invalidations(database) == []


def test_the_call_stays_while_the_cache_does_not_answer(database: Database, running: StartedCall) -> None:
    write_effect(database, running, cache=Cache(answers=False))

    assert len(waiting_invalidations(database)) == 1


def test_the_call_of_a_request_stays(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)

    assert len(waiting_invalidations(database)) == 1


def test_a_call_that_a_later_change_has_joined_stays(database: Database, begin: Begin, running: StartedCall) -> None:
    class JoinedMeanwhile(Cache):
        """Somebody commits another change between this commit and the drop."""

        def delete_all(self, patterns: Iterable[str]) -> bool:
            assert running.subject is not None
            edit(begin, running.subject, version=3)
            return True

    write_effect(database, running, cache=JoinedMeanwhile(answers=True))

    assert len(waiting_invalidations(database)) == 1


def test_what_waits_for_the_cache_is_due_as_soon_as_it_is_back(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    edit(begin, resource_id, version=2)
    [call] = waiting_invalidations(database)
    later = now() + timedelta(minutes=9)

    def put_off(*, attempts: int) -> None:
        with database.writer() as session:
            session.execute(update(TaskCall).where(TaskCall.id == call.id).values(due_at=later, attempts=attempts))

    def bring_forward() -> int:
        with database.writer() as session:
            return outbox.bring_forward(session, TaskName.INVALIDATE_CACHE, moment=now())

    put_off(attempts=0)  # it waits for its time and not for the cache
    assert bring_forward() == 0
    put_off(attempts=3)
    assert bring_forward() == 1
    assert bring_forward() == 0
    [call] = waiting_invalidations(database)
    assert call.due_at <= now()
    assert call.attempts == 3
