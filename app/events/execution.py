"""The worker's side of a call: start, renew, done, try again, bury.

Each is one conditional UPDATE: a stale copy, a frozen owner that wakes up, a redelivery after the retry
was scheduled find no row, and drop themselves. Nothing here commits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, select, update
from sqlalchemy.orm import Session

from app.errors import AlexandriaError, PermanentError
from app.events.dispatch import UNSTARTED_STATES, wait_again
from app.models.base import UtcDateTime
from app.models.outbox import CallState, DeadLetter, EffectRecord, TaskCall, in_state

STARTABLE = (CallState.CLAIMED, CallState.SENT, CallState.RUNNING)
_OF_A_START = (
    *(TaskCall.id, TaskCall.task, TaskCall.args, TaskCall.queue, TaskCall.priority, TaskCall.generation),
    *(TaskCall.attempts, TaskCall.starts, TaskCall.kind, TaskCall.subject, TaskCall.correlation_id, TaskCall.due_at),
)


class StaleOwner(PermanentError):
    """This execution no longer owns its call: its effect must not be written."""

    slug = "stale-owner"
    title = "Another execution owns this call"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedCall:
    """A call this execution owns.

    `attempt` counts from 1; `starts` are the deliveries of this attempt, this one included; `wait_seconds` is the
    time from due to started.
    """

    id: UUID
    task: str
    args: list[Any]
    queue: str
    priority: int
    generation: int
    owner: str
    attempt: int
    starts: int
    kind: str | None
    subject: UUID | None
    correlation_id: str
    wait_seconds: float


def start(
    session: Session,
    call_id: UUID,
    *,
    generation: int,
    owner: str,
    lease: timedelta,
    moment: datetime,
    spared_starts: int | None = None,
) -> StartedCall | None:
    """Own the call, or None when this copy is stale, or the call has been started exactly `spared_starts` times."""
    values = _owning(call_id, generation=generation, owner=owner, lease=lease, moment=moment)
    if spared_starts is None:
        return _start(session, _starting(), values)
    return _start(session, _starting_unless_spared(), values | {"spared_starts": spared_starts})


def reserve(
    session: Session,
    call_id: UUID,
    *,
    generation: int,
    owner: str,
    lease: timedelta,
    moment: datetime,
    starts: int,
) -> bool:
    """Own a call that has been started so often, without counting a start; False when this copy is stale."""
    reservable = [TaskCall.id == call_id, TaskCall.generation == generation, TaskCall.state.in_(STARTABLE)]
    values = {"state": CallState.RUNNING, "owner": owner, "lease_until": moment + lease}
    reserved = update(TaskCall).where(*reservable, TaskCall.starts == starts).values(**values).returning(TaskCall.id)
    return session.execute(reserved.execution_options(synchronize_session=False)).first() is not None


def start_reserved(
    session: Session, call_id: UUID, *, generation: int, owner: str, lease: timedelta, moment: datetime
) -> StartedCall | None:
    """Start what this owner has reserved; None when it has lost it meanwhile."""
    values = _owning(call_id, generation=generation, owner=owner, lease=lease, moment=moment)
    return _start(session, _starting_reserved(), values)


def lease_of_another(
    session: Session, call_id: UUID, *, generation: int, owner: str, starts_at_least: int
) -> datetime | None:
    """Until when another owner runs the call, if it has been started so often; None: nobody else does."""
    running = (TaskCall.id == call_id, TaskCall.generation == generation, TaskCall.state == CallState.RUNNING)
    another = (TaskCall.owner != owner, TaskCall.starts >= starts_at_least)
    return session.scalar(select(TaskCall.lease_until).where(*running, *another))


def put_off(session: Session, call_id: UUID, *, generation: int, owner: str, due_at: datetime) -> bool:
    """Let a call wait again that this owner has reserved, or nobody has started; False when it has moved on."""
    unstarted = wait_again(session, call_id, generation=generation, states=UNSTARTED_STATES, due_at=due_at)
    running = (CallState.RUNNING,)
    return unstarted or wait_again(session, call_id, generation=generation, states=running, owner=owner, due_at=due_at)


def renew(session: Session, owners: Sequence[str], *, until: datetime) -> int:
    """Extend the leases of calls that still run under these owners; returns how many do."""
    renewed = (
        update(TaskCall)
        .where(TaskCall.owner.in_(owners), in_state(CallState.RUNNING))
        .values(lease_until=until)
        .returning(TaskCall.id)
    )
    return len(session.execute(renewed.execution_options(synchronize_session=False)).all())


def finish(session: Session, call: StartedCall, *, version: int | None, moment: datetime) -> None:
    """Mark the call done and leave its effect record, in the transaction of the effect.

    Raises `StaleOwner` when another execution owns the call: the transaction must be rolled back.
    """
    done = _move_owned(session, call, {"state": CallState.DONE, "done_at": moment})
    if not done:
        raise StaleOwner(f"call {call.id} is owned by another execution")
    session.add(
        EffectRecord(
            call_id=call.id,
            generation=call.generation,
            owner=call.owner,
            attempt=call.attempt,
            task=call.task,
            kind=call.kind,
            subject=call.subject,
            version=version,
            correlation_id=call.correlation_id,
            at=moment,
        )
    )


def try_again(session: Session, call: StartedCall, *, error: Exception, delay: timedelta, moment: datetime) -> bool:
    """Reschedule through the outbox, so that the retry survives every crash; False when no longer the owner."""
    description = describe(error)
    return wait_again(
        session,
        call.id,
        generation=call.generation,
        states=(CallState.RUNNING,),
        owner=call.owner,
        due_at=moment + delay,
        attempts=call.attempt,
        starts=0,
        last_error=description,
        history=_history_with(session, call, description, moment),
    )


def bury(
    session: Session,
    call: StartedCall,
    *,
    reason: str,
    error: dict[str, Any],
    traceback: str | None,
    moment: datetime,
) -> bool:
    """End the call as dead and leave its dead letter; False when no longer the owner."""
    history = _history_with(session, call, error, moment)
    values = {"state": CallState.DEAD, "done_at": moment, "attempts": call.attempt, "last_error": error}
    if not _move_owned(session, call, values | {"history": history}):
        return False
    session.add(
        DeadLetter(
            call_id=call.id,
            generation=call.generation,
            task=call.task,
            args=call.args,
            queue=call.queue,
            priority=call.priority,
            subject=call.subject,
            reason=reason,
            error=error,
            traceback=traceback,
            attempts=call.attempt,
            history=history,
            first_at=datetime.fromisoformat(history[0]["at"]),
            last_at=moment,
        )
    )
    return True


def describe(error: BaseException) -> dict[str, Any]:
    """The stored form of an error: a stable type and a sentence."""
    if isinstance(error, AlexandriaError):
        return {"type": error.slug, "detail": error.detail}
    return {"type": type(error).__name__, "detail": str(error) or type(error).__name__}


def backoff(attempt: int, *, first: timedelta, most: timedelta) -> timedelta:
    """Full jitter over an exponential: uniform in [0, min(most, first * 2^(attempt-1))].

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    exponential: timedelta = first * 2 ** min(attempt - 1, 30)
    return min(most, exponential) * random.random()


def _owning(call_id: UUID, *, generation: int, owner: str, lease: timedelta, moment: datetime) -> dict[str, Any]:
    """The parameters of the starting statements."""
    return {"call": call_id, "of": generation, "by": owner, "at": moment, "until": moment + lease}


def _start(session: Session, starting: Any, values: dict[str, Any]) -> StartedCall | None:
    row = session.execute(starting, values).one_or_none()
    return None if row is None else _started(row, owner=values["by"], moment=values["at"])


# The statements of every task, made once: making one takes SQLAlchemy longer than running it.
_THIS = (TaskCall.id == bindparam("call"), TaskCall.generation == bindparam("of"))
_MINE = (*_THIS, TaskCall.owner == bindparam("by"), TaskCall.state == CallState.RUNNING)


@cache
def _starting() -> Any:
    return _starting_if(*_THIS, TaskCall.state.in_(STARTABLE))


@cache
def _starting_unless_spared() -> Any:
    return _starting_if(*_THIS, TaskCall.state.in_(STARTABLE), TaskCall.starts != bindparam("spared_starts"))


@cache
def _starting_reserved() -> Any:
    return _starting_if(*_MINE)


def _starting_if(*conditions: ColumnElement[bool]) -> Any:
    return (
        update(TaskCall)
        .where(*conditions)
        .values(
            state=CallState.RUNNING,
            owner=bindparam("by"),
            starts=TaskCall.starts + 1,
            started_at=bindparam("at", type_=UtcDateTime()),
            lease_until=bindparam("until", type_=UtcDateTime()),
        )
        .returning(*_OF_A_START)
        .execution_options(synchronize_session=False)
    )


@cache
def _ending(columns: frozenset[str]) -> Any:
    """Of `_move_owned`: sets these columns to the parameters `new_…`."""
    return (
        update(TaskCall)
        .where(*_MINE)
        .values(
            lease_until=None,
            **{name: bindparam(f"new_{name}", type_=TaskCall.__table__.c[name].type) for name in columns},
        )
        .returning(TaskCall.id)
        .execution_options(synchronize_session=False)
    )


def _started(row: Row[Any], *, owner: str, moment: datetime) -> StartedCall:
    return StartedCall(
        id=row.id,
        task=row.task,
        args=row.args,
        queue=row.queue,
        priority=row.priority,
        generation=row.generation,
        owner=owner,
        attempt=row.attempts + 1,
        starts=row.starts,
        kind=row.kind,
        subject=row.subject,
        correlation_id=row.correlation_id,
        wait_seconds=max(0.0, (moment - row.due_at).total_seconds()),
    )


def _move_owned(session: Session, call: StartedCall, values: dict[str, Any]) -> bool:
    mine = {"call": call.id, "of": call.generation, "by": call.owner}
    new = {f"new_{name}": value for name, value in values.items()}
    return session.execute(_ending(frozenset(values)), mine | new).first() is not None


def _history_with(session: Session, call: StartedCall, error: dict[str, Any], moment: datetime) -> list[Any]:
    past = session.scalar(select(TaskCall.history).where(TaskCall.id == call.id)) or []
    return [*past, {"at": moment.isoformat(), "attempt": call.attempt, "starts": call.starts, **error}]
