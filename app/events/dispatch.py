"""The relay's side of a call: claim, mark sent, give back, and find what was lost.

Every function takes the caller's session and commits nothing; `moment` is the caller's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, bindparam, func, literal, null, select, tuple_, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from app.events.outbox import is_postgres
from app.models.active_broker import ActiveBroker
from app.models.base import UtcDateTime
from app.models.outbox import IN_FLIGHT_STATES, CallState, DeadLetter, TaskCall, in_state

UNSTARTED_STATES = (CallState.CLAIMED, CallState.SENT)

_OUTLOOK: CompoundSelect[Any] = union_all(
    select(TaskCall.queue, TaskCall.priority, func.min(TaskCall.due_at).label("due_at"), literal(0).label("flying"))
    .where(in_state(CallState.WAITING))
    .group_by(TaskCall.queue, TaskCall.priority),
    select(TaskCall.queue, literal(0), null(), func.count())
    .where(in_state(*IN_FLIGHT_STATES))
    .group_by(TaskCall.queue),
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The outbox at one moment: when the first call of a queue and priority is due, and how many are in flight."""

    due_at: Mapping[tuple[str, int], datetime]
    in_flight: Mapping[str, int]

    @property
    def next_due_at(self) -> datetime | None:
        """When the next waiting call is due; None: none waits."""
        return min(self.due_at.values(), default=None)

    def due(self, moment: datetime) -> list[tuple[str, int]]:
        """Queues and priorities in which a call is due, the most urgent first."""
        return sorted((which for which, at in self.due_at.items() if at <= moment), key=lambda which: -which[1])


def outlook(session: Session) -> Outlook:
    """What waits and what is in flight, in one statement: a relay asks at every wake-up."""
    rows = session.execute(_OUTLOOK).all()
    return Outlook(
        due_at={(row.queue, row.priority): row.due_at for row in rows if row.due_at is not None},
        in_flight={row.queue: row.flying for row in rows if row.due_at is None},
    )


def claim(
    session: Session, *, queue: str, priority: int, limit: int, epoch: int, moment: datetime
) -> list[ClaimedCall]:
    """Take up to `limit` calls of one queue and priority, the first due first; other relays skip them.

    None, once another epoch has begun: no switch commits while this transaction is open. One statement, and
    PostgreSQL does not wait for its disk: see `_not_waiting_for_the_disk`.
    """
    values = {"of_queue": queue, "of_priority": priority, "room": limit, "in_epoch": epoch, "at": moment}
    rows = session.execute(_taking(is_postgres(session)), values).mappings().all()
    return sorted((ClaimedCall(**row) for row in rows), key=lambda call: call.id)


def mark_sent(session: Session, calls: Sequence[ClaimedCall], *, moment: datetime) -> int:
    """`claimed → sent`, for the generation that was published and for no other; returns how many moved."""
    if not calls:
        return 0
    values = {"sent": [(call.id, call.generation) for call in calls], "at": moment}
    return len(session.execute(_marking(is_postgres(session)), values).all())


@cache
def _taking(on_postgres: bool) -> ReturningUpdate[Any]:
    """The statement of `claim`, made once: making it takes SQLAlchemy longer than running it."""
    at = bindparam("at", type_=UtcDateTime())
    due = (
        select(TaskCall.id)
        .where(
            in_state(CallState.WAITING),
            TaskCall.queue == bindparam("of_queue"),
            TaskCall.priority == bindparam("of_priority"),
            TaskCall.due_at <= at,
        )
        .order_by(TaskCall.due_at)
        .limit(bindparam("room"))
        .with_for_update(skip_locked=True)
        .cte("due")  # evaluated once; as a subquery PostgreSQL may run it again for each row, and lock more
    )
    # FOR SHARE: claims do not wait for each other, a switch waits for them and they for it.
    epoch = select(ActiveBroker.epoch).with_for_update(read=True).scalar_subquery()
    return (
        update(TaskCall)
        .where(
            TaskCall.id.in_(select(due.c.id)),
            TaskCall.state == CallState.WAITING,
            epoch == bindparam("in_epoch"),
            *_not_waiting_for_the_disk(on_postgres),
        )
        .values(
            state=CallState.CLAIMED,
            generation=TaskCall.generation + 1,
            epoch=bindparam("in_epoch"),
            claimed_at=at,
            owner=None,
        )
        .returning(*(getattr(TaskCall, name) for name in ClaimedCall.__slots__))
        .execution_options(synchronize_session=False)
    )


@cache
def _marking(on_postgres: bool) -> ReturningUpdate[Any]:
    """The statement of `mark_sent`."""
    return (
        update(TaskCall)
        .where(
            tuple_(TaskCall.id, TaskCall.generation).in_(bindparam("sent", expanding=True)),
            TaskCall.state == CallState.CLAIMED,
            *_not_waiting_for_the_disk(on_postgres),
        )
        .values(state=CallState.SENT, sent_at=bindparam("at", type_=UtcDateTime()))
        .returning(TaskCall.id)
        .execution_options(synchronize_session=False)
    )


def _not_waiting_for_the_disk(on_postgres: bool) -> tuple[ColumnElement[bool], ...]:
    """A condition that always holds, and lets PostgreSQL answer this transaction's commit before it is on the disk.

    A server that breaks down may forget such a commit (of the last 0.6 s). A forgotten mark is that of a relay that
    died before it; after a forgotten claim the call is sent again in the same generation, as by a broker that
    delivers twice. Whatever a worker writes after it is on the disk only together with it.
    """
    if not on_postgres:  # SQLite waits for its disk where SQLITE_SYNCHRONOUS says so, and not else
        return ()
    return (select(func.set_config("synchronous_commit", "off", True)).scalar_subquery() == "off",)


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
