"""What was lost on the way: calls to send again, and no others.

Each function finds and locks a slice of one kind of loss; `let_wait_again` then takes all of a transaction together.

A wait in a queue is not a loss. Three things are: a claim whose relay died, a start whose lease ran out, and a
sent message that the broker no longer holds. The last shows itself in two ways: the queue is served and has come to
calls that were sent later, or the queue is not served and the broker says that it holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, func, or_, select, update
from sqlalchemy.orm import Session

from app.events import counters
from app.events.dispatch import in_order_of_keys, wait_again
from app.models.active_broker import ActiveBroker
from app.models.outbox import CallState, TaskCall, in_state
from app.transports.base import QueueDepth

STARTED_LATELY = timedelta(seconds=60)
# Two relays may mark what they sent in another order than they sent it, within their publish deadline.
MARKING_SLACK = timedelta(seconds=10)
SLICE = 100  # a request may wait for one of these rows until the commit
REDISPATCHED = "redispatched_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCall:
    """A call to send again, locked by the transaction that found it."""

    id: UUID
    generation: int
    state: CallState
    coalesce_key: str | None


def abandoned_claims(session: Session, *, claimed_before: datetime) -> list[LostCall]:
    """Claims of a relay that died before it could mark them sent."""
    return _oldest(session, in_state(CallState.CLAIMED), TaskCall.claimed_at < claimed_before)


def left_behind(session: Session) -> list[LostCall]:
    """Calls that were claimed or sent for a broker that is no longer active."""
    epoch = select(ActiveBroker.epoch).scalar_subquery()
    return [
        call
        for state in (CallState.CLAIMED, CallState.SENT)
        for call in _oldest(session, in_state(state), TaskCall.epoch < epoch)
    ]


def sent(session: Session, *, before: datetime) -> list[LostCall]:
    """Calls whose message was sent before, whatever became of it."""
    return _oldest(session, in_state(CallState.SENT), TaskCall.sent_at < before)


def expired_leases(session: Session, *, moment: datetime) -> list[LostCall]:
    """Starts whose worker no longer renews the lease."""
    return _oldest(session, in_state(CallState.RUNNING), TaskCall.lease_until < moment)


def lost_messages(
    session: Session, *, depth_of: Callable[[str], QueueDepth | None], lost_after: timedelta, moment: datetime
) -> list[LostCall]:
    """Sent calls that their broker no longer holds; `depth_of` says None when the broker cannot tell.

    Age alone proves nothing: a backlog may be older than any bound. What is old enough is lost when the broker says
    that it holds nothing of its queue, or when the queue has come to calls that stood behind it. Not even then, if the
    broker holds a message for every open call: a busy worker keeps what it was given before others.
    """
    old = (in_state(CallState.SENT), TaskCall.sent_at < moment - lost_after)
    found: list[LostCall] = []
    for queue in session.scalars(select(TaskCall.queue).where(*old).distinct()).all():
        depth = depth_of(queue)
        missing = _missing(session, queue, depth, moment=moment)
        if missing > 0:
            evidence = () if _is_empty(depth) else (_overtaken(session, queue, moment=moment),)
            found += _oldest(session, *old, TaskCall.queue == queue, *evidence, most=missing)
    return found


def let_wait_again(session: Session, calls: Iterable[LostCall], *, moment: datetime) -> int:
    """All that a transaction found lost, at once: they wait again in the one order of keys. How many do."""
    return sum(
        wait_again(session, call.id, generation=call.generation, states=(call.state,), due_at=moment)
        for call in in_order_of_keys(calls)
    )


def _missing(session: Session, queue: str, depth: QueueDepth | None, *, moment: datetime) -> int:
    """How many calls at most have no message; where the broker does not tell what is held, any may have none.

    A start whose lease ran out is a loss of its own: what became of its message says nothing of others.
    """
    if depth is None or depth.unacked is None:
        return SLICE
    is_held = or_(TaskCall.state == CallState.SENT, TaskCall.lease_until >= moment)
    at_broker = and_(in_state(CallState.SENT, CallState.RUNNING), is_held)
    calls = session.scalar(select(func.count()).where(TaskCall.queue == queue, at_broker)) or 0
    return calls - depth.ready - depth.unacked


def _overtaken(session: Session, queue: str, *, moment: datetime) -> ColumnElement[bool]:
    """A call sent later, and no more urgent, has been started: inside a priority a queue is first in, first out."""
    started = select(TaskCall.priority, func.max(TaskCall.sent_at)).where(
        TaskCall.queue == queue, TaskCall.started_at > moment - STARTED_LATELY, TaskCall.sent_at.is_not(None)
    )
    return or_(
        false(),
        *(
            and_(TaskCall.priority >= priority, TaskCall.sent_at < newest - MARKING_SLACK)
            for priority, newest in session.execute(started.group_by(TaskCall.priority))
            if newest is not None
        ),
    )


def _is_empty(depth: QueueDepth | None) -> bool:
    """Not told is not empty: a worker may hold what is delivered and not acknowledged."""
    return depth is not None and depth.ready == 0 and depth.unacked == 0


def _oldest(session: Session, *lost: ColumnElement[bool], most: int = SLICE) -> list[LostCall]:
    """Lock and name them: no more than `most`, nor than a slice."""
    columns = (TaskCall.id, TaskCall.generation, TaskCall.state, TaskCall.coalesce_key)
    oldest = select(*columns).where(*lost).order_by(TaskCall.sent_at, TaskCall.id).limit(min(most, SLICE))
    rows = session.execute(oldest.with_for_update(skip_locked=True)).mappings().all()
    return [LostCall(**row) for row in rows]


def extend_leases(session: Session, *, until: datetime) -> None:
    """Grant every running call a full lease: renewals could not reach the database for a while."""
    short = update(TaskCall).where(in_state(CallState.RUNNING), TaskCall.lease_until < until)
    session.execute(short.values(lease_until=until).execution_options(synchronize_session=False))


def count_redispatched(session: Session, count: int) -> None:
    """`redispatched_total`: calls that were sent a second time because the first was lost."""
    counters.count(session, REDISPATCHED, count)
