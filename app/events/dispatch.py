"""The relay's side of a call: claim, mark sent, give back, and find what was lost.

Every function takes the caller's session and commits nothing; `moment` is the caller's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.models.active_broker import ActiveBroker
from app.models.outbox import IN_FLIGHT_STATES, CallState, DeadLetter, TaskCall

UNSTARTED_STATES = (CallState.CLAIMED, CallState.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCall:
    """What a message is made of. `generation` is new with every claim."""

    id: UUID
    task: str
    args: list[Any]
    queue: str
    priority: int
    generation: int
    attempts: int
    kind: str | None
    subject: UUID | None
    coalesce_key: str | None
    correlation_id: str
    causation_id: str | None


def due_queues(session: Session, *, moment: datetime) -> list[str]:
    """Queues in which a call is due."""
    due = select(TaskCall.queue).where(TaskCall.state == CallState.WAITING, TaskCall.due_at <= moment).distinct()
    return list(session.scalars(due))


def next_due_at(session: Session) -> datetime | None:
    """When the next waiting call is due."""
    return session.scalar(select(func.min(TaskCall.due_at)).where(TaskCall.state == CallState.WAITING))


def in_flight(session: Session) -> dict[str, int]:
    """Calls claimed, sent or running, by queue."""
    counted = select(TaskCall.queue, func.count()).where(TaskCall.state.in_(IN_FLIGHT_STATES)).group_by(TaskCall.queue)
    return dict(session.execute(counted).all())


def claim(session: Session, *, queue: str, limit: int, moment: datetime) -> list[ClaimedCall]:
    """Take up to `limit` due calls of one queue, most urgent first; other relays skip them."""
    due = and_(TaskCall.state == CallState.WAITING, TaskCall.queue == queue, TaskCall.due_at <= moment)
    ids: list[UUID] = []
    # One priority after the other: each is a range of the index, however long the backlog is.
    for priority in sorted(session.scalars(select(TaskCall.priority).where(due).distinct()), reverse=True):
        if len(ids) >= limit:
            break
        oldest = select(TaskCall.id).where(due, TaskCall.priority == priority).order_by(TaskCall.due_at)
        ids += session.scalars(oldest.limit(limit - len(ids)).with_for_update(skip_locked=True))
    if not ids:
        return []
    taken = (
        update(TaskCall)
        .where(TaskCall.id.in_(ids), TaskCall.state == CallState.WAITING)
        .values(
            state=CallState.CLAIMED,
            generation=TaskCall.generation + 1,
            epoch=select(ActiveBroker.epoch).scalar_subquery(),
            claimed_at=moment,
            owner=None,
        )
        .returning(*(getattr(TaskCall, name) for name in ClaimedCall.__slots__))
        .execution_options(synchronize_session=False)
    )
    rows = session.execute(taken).mappings().all()
    return sorted((ClaimedCall(**row) for row in rows), key=lambda call: (-call.priority, call.id))


def mark_sent(session: Session, calls: Sequence[ClaimedCall], *, moment: datetime) -> int:
    """`claimed → sent`, for the generation that was published and for no other; returns how many moved."""
    if not calls:
        return 0
    keys = [(call.id, call.generation) for call in calls]
    moved = session.execute(
        update(TaskCall)
        .where(tuple_(TaskCall.id, TaskCall.generation).in_(keys), TaskCall.state == CallState.CLAIMED)
        .values(state=CallState.SENT, sent_at=moment)
        .returning(TaskCall.id)
        .execution_options(synchronize_session=False)
    )
    return len(moved.all())


def give_back(session: Session, calls: Sequence[ClaimedCall], *, due_at: datetime) -> int:
    """`claimed → waiting`: the broker did not take them, or nobody knows. A copy that got through is stale."""
    return sum(
        wait_again(session, call.id, generation=call.generation, states=(CallState.CLAIMED,), due_at=due_at)
        for call in in_order_of_keys(calls)
    )


class Keyed(Protocol):
    """Anything with the key of a call."""

    @property
    def coalesce_key(self) -> str | None:
        """See `TaskCall`."""


KeyedCall = TypeVar("KeyedCall", bound=Keyed)


def in_order_of_keys(calls: Iterable[KeyedCall]) -> list[KeyedCall]:
    """The one order in which every transaction touches waiting calls: two of them never wait for each other."""
    return sorted(calls, key=lambda call: call.coalesce_key or "")


def bury(
    session: Session,
    call: ClaimedCall,
    *,
    reason: str,
    error: dict[str, Any],
    moment: datetime,
    headers: dict[str, Any] | None = None,
) -> bool:
    """`claimed | sent → dead`: the broker will not take this message, or gave it up before any worker started it.

    False when the call has moved on meanwhile.
    """
    held = [TaskCall.id == call.id, TaskCall.generation == call.generation, TaskCall.state.in_(UNSTARTED_STATES)]
    past = session.scalar(select(TaskCall.history).where(TaskCall.id == call.id)) or []
    history = [*past, {"at": moment.isoformat(), "attempt": call.attempts + 1, **error}]
    values = {"state": CallState.DEAD, "done_at": moment, "last_error": error, "history": history}
    if not _move(session, held, values):
        return False
    letter = DeadLetter(
        **{name: getattr(call, name) for name in ("generation", "task", "args", "queue", "priority", "subject")},
        call_id=call.id,
        reason=reason,
        error=error,
        attempts=call.attempts,
        history=history,
        headers=headers,
        first_at=datetime.fromisoformat(history[0]["at"]),
        last_at=moment,
    )
    session.add(letter)
    return True


def wake_dead(session: Session, call_id: UUID, *, generation: int, moment: datetime) -> CallState | None:
    """`dead → waiting`, with all its attempts and starts before it, or `superseded` as `wait_again` says.

    The next claim gives it a new generation. None when the call is not dead, or not in this generation.
    """
    woken = wait_again(
        session,
        call_id,
        generation=generation,
        states=(CallState.DEAD,),
        due_at=moment,
        attempts=0,
        starts=0,
        done_at=None,
    )
    return CallState(session.scalars(select(TaskCall.state).where(TaskCall.id == call_id)).one()) if woken else None


def wait_again(
    session: Session,
    call_id: UUID,
    *,
    generation: int,
    states: Sequence[CallState],
    due_at: datetime,
    owner: str | None = None,
    **values: Any,
) -> bool:
    """Let a call in flight wait again, or supersede it when its key has a waiting call already.

    Returns False when the call has moved on meanwhile (another generation, owner or state).
    """
    held = [TaskCall.id == call_id, TaskCall.generation == generation, TaskCall.state.in_(states)]
    if owner is not None:
        held.append(TaskCall.owner == owner)
    waiting = {"state": CallState.WAITING, "due_at": due_at, "latest_due_at": due_at, **values}
    cleared = {"owner": None, "lease_until": None}
    try:
        with session.begin_nested():
            return _move(session, held, waiting | cleared)
    except IntegrityError:  # the partial unique index: a waiting call of this key exists, and will do the work
        return _move(session, held, {"state": CallState.SUPERSEDED, **values} | cleared)


def _move(session: Session, held: Sequence[ColumnElement[bool]], values: dict[str, Any]) -> bool:
    moved = update(TaskCall).where(*held).values(**values).returning(TaskCall.id)
    return session.execute(moved.execution_options(synchronize_session=False)).first() is not None
