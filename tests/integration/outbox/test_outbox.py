from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.database import Database, open_database
from app.events import dispatch, execution, outbox, recovery
from app.events.event_types import EventType
from app.events.execution import StaleOwner, StartedCall
from app.events.hooks import PlannedCall
from app.models.base import now
from app.models.outbox import CallState, EffectRecord, EventRecord, TaskCall
from app.settings import load_settings
from app.tasks.task_names import TaskName
from app.transports.base import QueueDepth
from tests.integration.outbox.claims import claim_due
from tests.integration.outbox.edits import Begin, edit

LEASE = timedelta(seconds=15)


def calls(database: Database, task: TaskName = TaskName.REGENERATE_EMBEDDING) -> list[TaskCall]:
    with database.reader() as session:
        return list(session.scalars(select(TaskCall).where(TaskCall.task == task).order_by(TaskCall.created_at)))


def claim_all(database: Database, *, queue: str, moment: datetime) -> list[dispatch.ClaimedCall]:
    with database.writer() as session:
        return claim_due(session, queue=queue, limit=100, moment=moment)


def started(database: Database, claimed: dispatch.ClaimedCall, owner: str = "w") -> StartedCall | None:
    with database.writer() as session:
        return execution.start(
            session, claimed.id, generation=claimed.generation, owner=owner, lease=LEASE, moment=now()
        )


def test_event_and_calls_are_committed_with_the_change_or_not_at_all(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    def change_and_fail() -> None:
        with begin() as unit:
            unit.emit(EventType.RESOURCE_CONTENT_CHANGED, {"resource_id": str(resource_id)})
            unit.store()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()

    with database.reader() as session:
        assert session.scalar(select(func.count()).select_from(EventRecord)) == 0
    assert calls(database) == []


def test_fifty_edits_within_the_debounce_are_one_call_for_the_last(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    for version in range(2, 52):
        edit(begin, resource_id, version=version)

    [call] = calls(database)

    assert call.subject_version == 51
    assert call.due_at - call.created_at >= timedelta(seconds=5)


def test_edits_that_never_end_put_a_call_off_for_six_delays_at_most(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    edit(begin, resource_id, version=2)
    [first] = calls(database)
    with database.writer() as session:
        row = session.get(TaskCall, first.id)
        assert row is not None
        row.latest_due_at = now() + timedelta(seconds=1)  # six delays are nearly over

    edit(begin, resource_id, version=3)

    [call] = calls(database)
    assert call.due_at == call.latest_due_at


def test_an_edit_while_the_call_is_in_flight_makes_a_new_call(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    edit(begin, resource_id, version=2)
    claim_all(database, queue="ml_tasks", moment=now() + timedelta(seconds=6))

    edit(begin, resource_id, version=3)

    assert [call.state for call in calls(database)] == [CallState.CLAIMED, CallState.WAITING]


def test_concurrent_edits_of_one_resource_are_one_waiting_call(
    database: Database, begin: Begin, resource_id: UUID
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda version: edit(begin, resource_id, version=version), range(2, 22)))

    assert len(calls(database)) == 1


def test_a_call_that_is_not_due_is_not_claimed(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)

    assert claim_all(database, queue="ml_tasks", moment=now()) == []


def test_urgent_calls_are_claimed_first(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)

    with database.writer() as session:
        claimed = claim_due(session, queue="default", limit=2, moment=now() + timedelta(minutes=1))

    assert [call.priority for call in claimed] == [9, 5]  # the index; then one of those that are less urgent


def test_two_relays_never_claim_one_call(database: Database, begin: Begin) -> None:
    with begin() as unit:
        unit.enqueue(*(planned(f"key-{number}") for number in range(60)))

    with ThreadPoolExecutor(4) as pool:
        claims = pool.map(lambda _: claim_some(database), range(12))
    claimed = [call.id for claim in claims for call in claim]

    assert len(claimed) == len(set(claimed)) == 60


def test_claims_and_marks_wait_for_no_disk_and_nothing_else_does(migrated_postgres_url: str) -> None:
    database = open_database(load_settings(database_url=migrated_postgres_url))
    waits = text("SHOW synchronous_commit")
    with database.writer() as session:
        outbox.enqueue(session, [planned("one")])
    with database.writer() as session:
        [claimed] = claim_due(session, queue="default", limit=10, moment=now())
        during_claim = session.scalar(waits)
    with database.writer() as session:
        between = session.scalar(waits)
        dispatch.mark_sent(session, [claimed], moment=now())
        during_mark = session.scalar(waits)
    with database.glance() as session:
        after = session.scalar(waits)

    database.engine.dispose()
    assert (during_claim, between, during_mark, after) == ("off", "on", "off", "on")


def claim_some(database: Database) -> list[dispatch.ClaimedCall]:
    with database.writer() as session:
        return claim_due(session, queue="default", limit=10, moment=now())


def planned(key: str | None) -> PlannedCall:
    return PlannedCall(
        task=TaskName.CANARY, args=["default"], queue="default", priority=5, delay=timedelta(0), coalesce_key=key
    )


def test_a_late_copy_of_an_older_generation_does_not_start(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)
    later = now() + timedelta(seconds=6)
    [first] = claim_all(database, queue="ml_tasks", moment=later)
    with database.writer() as session:
        dispatch.give_back(session, [first], due_at=later)
    [second] = claim_all(database, queue="ml_tasks", moment=later)

    assert started(database, first) is None
    assert started(database, second) is not None


def test_a_mark_that_comes_after_the_start_changes_nothing(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)
    [claimed] = claim_all(database, queue="ml_tasks", moment=now() + timedelta(seconds=6))
    assert started(database, claimed) is not None

    with database.writer() as session:
        assert dispatch.mark_sent(session, [claimed], moment=now()) == 0

    assert calls(database)[0].state == CallState.RUNNING


def test_an_owner_that_was_replaced_cannot_write(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)
    [claimed] = claim_all(database, queue="ml_tasks", moment=now() + timedelta(seconds=6))
    frozen = started(database, claimed, "frozen")
    successor = started(database, claimed, "successor")
    assert frozen is not None
    assert successor is not None

    with pytest.raises(StaleOwner), begin(frozen) as unit:
        unit.emit(EventType.EMBEDDING_GENERATED, {"resource_id": str(resource_id)})
    with begin(successor):
        pass

    with database.reader() as session:
        assert list(session.scalars(select(EffectRecord.owner))) == ["successor"]
        names = list(session.scalars(select(EventRecord.name)))
    assert "embedding.generated" not in names


def test_a_retry_whose_key_waits_already_is_superseded(database: Database, begin: Begin, resource_id: UUID) -> None:
    edit(begin, resource_id, version=2)
    [claimed] = claim_all(database, queue="ml_tasks", moment=now() + timedelta(seconds=6))
    running = started(database, claimed)
    assert running is not None
    edit(begin, resource_id, version=3)

    with database.writer() as session:
        execution.try_again(session, running, error=OSError("x"), delay=timedelta(seconds=9), moment=now())

    assert [call.state for call in calls(database)] == [CallState.SUPERSEDED, CallState.WAITING]


def test_two_beats_store_one_call_for_one_tick(database: Database) -> None:
    tick = now()
    stored = []
    for _ in range(2):
        with database.writer() as session:
            stored.append(outbox.enqueue_tick(session, planned(None), schedule="nightly", tick=tick))

    assert stored[0] is not None
    assert stored[1] is None
    assert len(calls(database, TaskName.CANARY)) == 1


def many_sent(database: Database, begin: Begin, count: int, *, at: datetime) -> None:
    with begin() as unit:
        unit.enqueue(*(planned(f"key-{number}") for number in range(count)))
    claimed = claim_all(database, queue="default", moment=now())
    with database.writer() as session:
        dispatch.mark_sent(session, claimed, moment=at)


def test_a_backlog_of_five_minutes_is_not_sent_again(database: Database, begin: Begin) -> None:
    """Served slowly and in order: one start every three seconds, a hundred calls."""
    begun = now()
    many_sent(database, begin, 100, at=begun)
    redispatched = 0
    with database.reader() as session:
        ids = list(session.scalars(select(TaskCall.id).where(TaskCall.state == CallState.SENT).order_by(TaskCall.id)))

    for step in range(100):
        moment = begun + timedelta(seconds=3 * step)
        with database.writer() as session:
            running = execution.start(session, ids[step], generation=1, owner=str(step), lease=LEASE, moment=moment)
            assert running is not None
            execution.finish(session, running, version=None, moment=moment)
            redispatched += recover(session, moment, ready=99 - step)

    assert redispatched == 0


def test_a_queue_that_nobody_serves_is_not_sent_again_while_the_broker_holds_it(
    database: Database, begin: Begin
) -> None:
    begun = now()
    many_sent(database, begin, 5, at=begun)

    with database.writer() as session:
        assert recover(session, begun + timedelta(minutes=5), ready=5) == 0
        assert recover(session, begun + timedelta(minutes=5), ready=None) == 0
        assert recover(session, begun + timedelta(minutes=5), ready=0, unacked=None) == 0, "not told is not empty"
        assert recover(session, begun + timedelta(minutes=5), ready=0, unacked=3) == 0, "a worker holds them"
        assert recover(session, begun + timedelta(minutes=5), ready=0) == 5


def test_a_call_is_sent_again_once_later_ones_have_overtaken_it(database: Database, begin: Begin) -> None:
    begun = now()
    many_sent(database, begin, 1, at=begun)
    lost = calls(database, TaskName.CANARY)[0]
    with begin() as unit:
        unit.enqueue(planned("later"))
    [later] = claim_all(database, queue="default", moment=now())
    moment = begun + timedelta(seconds=61)

    with database.writer() as session:
        dispatch.mark_sent(session, [later], moment=begun + timedelta(seconds=55))
        execution.start(session, later.id, generation=1, owner="w", lease=LEASE, moment=moment)
        assert recover(session, moment, ready=1, unacked=1) == 0, "the broker holds one for each"
        assert recover(session, moment, ready=0, unacked=1) == 1

    states = {call.id: call.state for call in calls(database, TaskName.CANARY)}
    assert states == {lost.id: CallState.WAITING, later.id: CallState.RUNNING}


def test_what_a_dead_worker_has_lost_is_not_looked_for_among_what_others_hold(database: Database, begin: Begin) -> None:
    """A start whose lease ran out comes back as such, and none is sent again in its place."""
    begun = now()
    many_sent(database, begin, 1, at=begun)
    held = calls(database, TaskName.CANARY)[0]
    with begin() as unit:
        unit.enqueue(planned("later"))
    [later] = claim_all(database, queue="default", moment=now())
    moment = begun + timedelta(minutes=5)

    with database.writer() as session:
        dispatch.mark_sent(session, [later], moment=begun + timedelta(seconds=55))
        execution.start(session, later.id, generation=1, owner="w", lease=LEASE, moment=moment - LEASE * 2)
        session.execute(update(TaskCall).where(TaskCall.id == later.id).values(started_at=moment))
        assert recover(session, moment, ready=0, unacked=1) == 0, "a worker holds the one"
        assert [call.id for call in recovery.expired_leases(session, moment=moment)] == [later.id]

    assert {call.id: call.state for call in calls(database, TaskName.CANARY)}[held.id] == CallState.SENT


def recover(session: Session, moment: datetime, *, ready: int | None, unacked: int | None = 0) -> int:
    def depth_of(queue: str) -> QueueDepth | None:
        return None if ready is None else QueueDepth(ready=ready, unacked=unacked)

    lost = recovery.lost_messages(session, depth_of=depth_of, lost_after=timedelta(seconds=60), moment=moment)
    return recovery.let_wait_again(session, lost, moment=moment)


def test_many_lost_calls_come_back_together_while_canaries_flow(database: Database, begin: Begin) -> None:
    """On an idle system only canaries are served: they tell that what stood before them is gone, however much it is."""
    begun = now()
    many_sent(database, begin, 50, at=begun)
    moment = begun + timedelta(seconds=75)
    with begin() as unit:
        unit.enqueue(replace(planned("canary"), priority=0))
    [canary] = claim_all(database, queue="default", moment=now())

    with database.writer() as session:
        dispatch.mark_sent(session, [canary], moment=begun + timedelta(seconds=70))
        execution.start(session, canary.id, generation=1, owner="w", lease=LEASE, moment=moment)
        assert recover(session, moment, ready=0, unacked=None) == 50
