"""The outbox: events and the calls they cause, stored in the transaction of the change itself.

Every function takes the caller's session and commits nothing. What happens to a call afterwards is in
`app.events.dispatch` (the relay's side) and `app.events.execution` (the worker's side).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.events.correlation import causation_id, current_correlation_id
from app.events.event_system import Event
from app.events.hooks import MAX_DELAYS, PlannedCall, plan
from app.models.base import new_id, now
from app.models.outbox import CallState, EventRecord, ScheduleTick, TaskCall, in_state

WAKE_UP_CHANNEL = "alexandria_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """A call that waits in the outbox: a new row, or the waiting row that was joined."""

    id: UUID
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    correlation_id: str
    causation_id: str | None


def is_postgres(session: Session) -> bool:
    """Whether this session speaks to PostgreSQL (else SQLite)."""
    return session.get_bind().dialect.name == "postgresql"


def store(
    session: Session, events: Sequence[Event], calls: Iterable[PlannedCall] = (), *, debounce_scale: float = 1.0
) -> list[StoredCall]:
    """Store durable events, the calls they cause and others; returns the calls.

    Once a transaction: its calls are stored in the one order of keys.
    """
    session.flush()
    if events:
        session.execute(insert(EventRecord), [_event_row(event) for event in events])
    caused = [
        (_debounced(call, debounce_scale), _Cause(correlation_id=e.correlation_id, causation_id=str(e.id)))
        for e in events
        for call in plan(e)
    ]
    cause = _Cause(correlation_id=current_correlation_id(), causation_id=causation_id.get())
    return _upsert(session, [*caused, *((call, cause) for call in calls)])


def enqueue(session: Session, calls: Iterable[PlannedCall]) -> list[StoredCall]:
    """Store calls that no event caused (reconciler, schedule, commands)."""
    return store(session, (), calls)


def enqueue_once(session: Session, call: PlannedCall, *, call_id: UUID) -> bool:
    """Store a call under an id that its cause determines; False when that is done already: nothing is doubled."""
    session.flush()
    cause = _Cause(correlation_id=current_correlation_id(), causation_id=causation_id.get())
    row = _call_row(call, cause, moment=now()) | {"id": call_id}
    key = insert_of(session)(TaskCall).values(**row).on_conflict_do_nothing(index_elements=[TaskCall.id])
    return session.execute(key.returning(TaskCall.id)).first() is not None


def enqueue_tick(session: Session, call: PlannedCall, *, schedule: str, tick: datetime) -> UUID | None:
    """Store the call of one tick of a schedule, or None when another beat has done so already."""
    key = insert_of(session)(ScheduleTick).values(name=schedule, tick=tick, call_id=new_id())
    inserted = session.execute(key.on_conflict_do_nothing().returning(ScheduleTick.call_id)).scalar_one_or_none()
    if inserted is None:
        return None
    stored = enqueue(session, [call])[0].id
    session.execute(
        update(ScheduleTick).where(ScheduleTick.name == schedule, ScheduleTick.tick == tick).values(call_id=stored)
    )
    return stored


def withdraw(session: Session, calls: Iterable[StoredCall], *, caused_by: Iterable[str]) -> None:
    """Take back calls that still wait for these events and no later one: what they stand for is done already."""
    waits = (
        TaskCall.id.in_([call.id for call in calls]),
        TaskCall.state == CallState.WAITING,
        TaskCall.causation_id.in_(list(caused_by)),
    )
    taken_back = delete(TaskCall).where(TaskCall.id.in_(_free(*waits)), *waits)
    session.execute(taken_back.execution_options(synchronize_session=False))


def put_off(session: Session, task: str, *, until: datetime) -> None:
    """All calls of this task that wait are due then at the earliest: none of them can succeed now."""
    _reschedule(session, task, TaskCall.due_at < until, due_at=until)


def bring_forward(session: Session, task: str, *, moment: datetime) -> int:
    """All calls of this task that wait are due now: what kept them from succeeding is over. How many calls."""
    return _reschedule(session, task, TaskCall.due_at > moment, due_at=moment)


def _reschedule(session: Session, task: str, which: ColumnElement[bool], *, due_at: datetime) -> int:
    waits = (TaskCall.task == task, in_state(CallState.WAITING), which)
    changed = session.execute(
        update(TaskCall)
        .where(TaskCall.id.in_(_free(*waits)), *waits)
        .values(due_at=due_at)
        .returning(TaskCall.id)
        .execution_options(synchronize_session=False)
    )
    return len(changed.all())


def _free(*which: ColumnElement[bool]) -> Select[UUID]:
    """Who holds one of the rows is at work on it: waiting for one while holding others could end in a deadlock."""
    return select(TaskCall.id).where(*which).with_for_update(skip_locked=True)


def wake_relay(session: Session) -> None:
    """Wake the relays when this transaction commits (PostgreSQL; on SQLite they watch the file)."""
    if is_postgres(session):
        session.execute(select(func.pg_notify(WAKE_UP_CHANNEL, "")))


def insert_of(session: Session) -> Any:
    """`insert` of the session's database, which can be told what to do on conflict."""
    return postgresql.insert if is_postgres(session) else sqlite.insert


def _event_row(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "name": event.name,
        "data": dict(event.data),
        "priority": int(event.priority),
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "subject": event.subject,
        "timestamp": event.timestamp,
    }


def _joined(calls: Iterable[tuple[PlannedCall, _Cause]]) -> list[tuple[PlannedCall, _Cause]]:
    """Calls of one key within one transaction are one call: soonest, most urgent, for the newest version."""
    joined: dict[str, tuple[PlannedCall, _Cause]] = {}
    for call, cause in calls:
        key = call.coalesce_key or str(new_id())
        if key in joined:
            earlier = joined[key][0]
            versions = [v for v in (earlier.subject_version, call.subject_version) if v is not None]
            call = replace(  # noqa: PLW2901
                call,
                delay=min(earlier.delay, call.delay),
                priority=max(earlier.priority, call.priority),
                subject_version=max(versions, default=None),
            )
        joined[key] = (call, cause)
    return list(joined.values())


def _debounced(call: PlannedCall, scale: float) -> PlannedCall:
    return call if scale == 1.0 else replace(call, delay=call.delay * scale)


def _call_row(call: PlannedCall, cause: _Cause, *, moment: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "task": call.task,
        "args": call.args,
        "queue": call.queue,
        "priority": int(call.priority),
        "kind": call.kind,
        "subject": call.subject,
        "subject_version": call.subject_version,
        "coalesce_key": call.coalesce_key,
        "state": CallState.WAITING,
        "due_at": moment + call.delay,
        "latest_due_at": moment + call.delay * MAX_DELAYS,
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "created_at": moment,
    }


def _upsert(session: Session, calls: Iterable[tuple[PlannedCall, _Cause]]) -> list[StoredCall]:
    moment = now()
    rows = [_call_row(call, cause, moment=moment) for call, cause in _joined(calls)]
    if not rows:
        return []
    # One order of keys everywhere, so that two transactions never wait for each other's rows.
    rows.sort(key=lambda row: row["coalesce_key"] or "")
    # The rows beside the statement and not in it: it is compiled once.
    result = session.execute(_joining(is_postgres(session)), rows)
    return [StoredCall(id=row.id, task=row.task) for row in result]


@cache
def _joining(on_postgres: bool) -> Any:
    """The statement of `_upsert`, made once: making it takes SQLAlchemy longer than running it."""
    statement = (postgresql.insert if on_postgres else sqlite.insert)(TaskCall)
    new = statement.excluded
    joined = statement.on_conflict_do_update(
        index_elements=[TaskCall.coalesce_key],
        index_where=text("state = 'waiting'"),
        set_={
            "due_at": case((new.due_at < TaskCall.latest_due_at, new.due_at), else_=TaskCall.latest_due_at),
            # What is to be done at once is put off by nothing that comes later.
            "latest_due_at": case(
                (new.latest_due_at < TaskCall.latest_due_at, new.latest_due_at), else_=TaskCall.latest_due_at
            ),
            "args": new.args,
            "priority": case((new.priority > TaskCall.priority, new.priority), else_=TaskCall.priority),
            "subject_version": func.coalesce(new.subject_version, TaskCall.subject_version),
            "attempts": 0,
            "correlation_id": new.correlation_id,
            "causation_id": new.causation_id,
        },
    )
    return joined.returning(TaskCall.id, TaskCall.task)
