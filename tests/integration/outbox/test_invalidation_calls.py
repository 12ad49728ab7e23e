"""The durable half of cache invalidation: kept until it is certain that nothing old is cached."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import select

from app.database import Database
from app.errors import CacheUnavailable
from app.events import execution, outbox
from app.events.event_system import EventEmitter
from app.events.event_types import EventType
from app.events.execution import StartedCall
from app.models.base import new_id, now
from app.models.outbox import CallState, TaskCall
from app.services import upkeep
from app.services.unit_of_work import unit_of_work
from app.tasks.task_names import TaskName
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.redis import ValkeyServer
from tests.integration.libraries import a_library
from tests.integration.outbox.claims import claim_due
from tests.integration.outbox.edits import Begin, edit


class Cache:
    """A cache that answers, or does not."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def delete_all(self, patterns: Iterable[str]) -> bool:
        return self._answers

    def supersede(self, key: str, value: object, *, version: int) -> bool:
        return self._answers


@pytest.fixture
def running(database: Database, begin: Begin, resource_id: UUID) -> StartedCall:
    """A call that runs; no invalidation waits."""
    edit(begin, resource_id, version=2)
    with database.writer() as session:
        [claimed] = claim_due(session, queue="ml_tasks", limit=1, moment=now() + timedelta(minutes=1))
        started = execution.start(
            session, claimed.id, generation=1, owner="w", lease=timedelta(seconds=15), moment=now()
        )
    assert started is not None
    return started


def write_effect(
    database: Database,
    call: StartedCall,
    *,
    cache: Cache,
    name: EventType = EventType.RESOURCE_DELETED,
) -> None:
    with unit_of_work(database, emitter=EventEmitter(), cache=cache, debounce_scale=1.0, call=call) as unit:
        unit.emit(name, {"resource_id": str(call.subject), "version": 2, "touches_graph": False})


def delete(begin: Begin, resource_id: UUID) -> None:
    with begin() as unit:
        unit.emit(EventType.RESOURCE_DELETED, {"resource_id": str(resource_id), "version": 3, "touches_graph": False})


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
    delete(begin, resource_id)

    assert [call.args for call in waiting_invalidations(database)] == [[["search_query:*"]]]


def test_an_edit_needs_no_call_for_what_its_readers_check_themselves(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    edit(begin, resource_id, version=2)

    assert waiting_invalidations(database) == []


@pytest.mark.parametrize(
    "name",
    [
        EventType.SEARCH_INDEX_UPDATED,
        EventType.CLASSIFICATION_COMPLETED,
        EventType.EMBEDDING_GENERATED,
        EventType.QUALITY_COMPUTED,
        EventType.AUTHORS_NORMALIZED,
        EventType.GRAPH_EDGE_ADDED,
    ],
)
def test_what_readers_of_cached_values_ask_the_database_leaves_no_call(
    database: Database, running: StartedCall, name: EventType
) -> None:
    write_effect(database, running, cache=Cache(answers=False), name=name)

    assert waiting_invalidations(database) == []


def test_a_call_that_a_later_change_has_joined_stays(database: Database, begin: Begin, running: StartedCall) -> None:
    class JoinedMeanwhile(Cache):
        """Somebody commits another change between this commit and the drop."""

        def delete_all(self, patterns: Iterable[str]) -> bool:
            assert running.subject is not None
            delete(begin, running.subject)
            return True

    write_effect(database, running, cache=JoinedMeanwhile(answers=True))

    assert len(waiting_invalidations(database)) == 1


def test_what_waits_for_the_cache_is_put_off_together_and_due_as_soon_as_it_is_back(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    delete(begin, resource_id)
    moment = now()
    later = moment + timedelta(minutes=9)

    with database.writer() as session:
        outbox.put_off(session, TaskName.INVALIDATE_CACHE, until=later)
        outbox.put_off(session, TaskName.INVALIDATE_CACHE, until=moment)  # never nearer
    assert [call.due_at for call in waiting_invalidations(database)] == [later]

    with database.writer() as session:
        assert outbox.bring_forward(session, TaskName.INVALIDATE_CACHE, moment=moment) == 1
        assert outbox.bring_forward(session, TaskName.INVALIDATE_CACHE, moment=moment) == 0
    assert [call.due_at for call in waiting_invalidations(database)] == [moment]


def test_one_that_finds_the_cache_away_puts_off_the_others(migrated_url: str) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    with a_library(database_url=migrated_url, cache_url=nobody) as library:
        for _ in range(5):
            with library.work() as unit:
                unit.emit(EventType.RESOURCE_DELETED, {"resource_id": str(new_id()), "version": 2})
        moment = now()

        with pytest.raises(CacheUnavailable):
            upkeep.invalidate(library, ["resource:1"], work=library.work)

        waiting = waiting_invalidations(library.database)
    assert len(waiting) == 5
    assert all(call.due_at >= moment + upkeep.AWAY for call in waiting)


def test_the_return_of_the_cache_makes_due_what_waited_for_it(migrated_url: str) -> None:
    with ValkeyServer() as server, a_library(database_url=migrated_url, cache_url=server.url) as library:
        library.cache.on_return = partial(upkeep.after_cache_return, library)
        server.kill()
        with library.work() as unit:
            unit.emit(EventType.RESOURCE_DELETED, {"resource_id": str(new_id()), "version": 2})
        with library.database.writer() as session:
            outbox.put_off(session, TaskName.INVALIDATE_CACHE, until=now() + timedelta(minutes=9))

        server.start()
        poll_until(lambda: library.cache.set("probe:1", 1), within_seconds=20, what="the cache answers")

        def is_due() -> bool:
            return all(call.due_at <= now() for call in waiting_invalidations(library.database))

        poll_until(is_due, within_seconds=10, what="what waited is due")
        assert len(waiting_invalidations(library.database)) == 1
