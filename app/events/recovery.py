"""What was lost on the way: calls to send again, and no others.

A wait in a queue is not a loss. Three things are: a claim whose relay died, a start whose lease ran out, and a
sent message that the broker no longer holds. The last shows itself in two ways: the queue is served and has come to
calls that were sent later, or the queue is not served and the broker says that it holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from app.events.dispatch import wait_again
from app.models.derived import Counter
from app.models.outbox import CallState, TaskCall
from app.transports.base import QueueDepth

RATE_WINDOW = timedelta(seconds=60)
# A sent call is overdue when the queue, at the rate it is served, would have come to it three times over.
OVERDUE_FACTOR = 3
SLICE = 500
REDISPATCHED = "redispatched_total"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFlow:
    """How one queue is served: calls in it, starts within the last minute, calls that run now."""

    sent: int
    started_lately: int
    running: int
    oldest_sent_at: datetime | None


def return_abandoned_claims(session: Session, *, claimed_before: datetime, moment: datetime) -> int:
    """Claims of a relay that died before it could mark them sent."""
    abandoned = (TaskCall.state == CallState.CLAIMED, TaskCall.claimed_at < claimed_before)
    return _let_wait_again(session, abandoned, state=CallState.CLAIMED, moment=moment)


def return_expired_leases(session: Session, *, moment: datetime) -> int:
    """Starts whose worker no longer renews the lease."""
    expired = (TaskCall.state == CallState.RUNNING, TaskCall.lease_until < moment)
    return _let_wait_again(session, expired, state=CallState.RUNNING, moment=moment)


def return_lost_messages(
    session: Session, *, depth_of: Callable[[str], QueueDepth | None], lost_after: timedelta, moment: datetime
) -> int:
    """Sent calls that their broker no longer holds; `depth_of` says None when the broker cannot tell."""
    returned = 0
    for queue, flow in flows(session, moment=moment).items():
        sent = (TaskCall.state == CallState.SENT, TaskCall.queue == queue)
        if flow.started_lately:
            lost: tuple[ColumnElement[bool], ...] = (
                *sent,
                TaskCall.sent_at < moment - overdue_after(flow, lost_after=lost_after),
                _overtaken(moment),
            )
        elif not flow.running and _is_empty(depth_of(queue)):
            lost = (*sent, TaskCall.sent_at < moment - lost_after)
        else:
            continue
        returned += _let_wait_again(session, lost, state=CallState.SENT, moment=moment)
    return returned


def overdue_after(flow: QueueFlow, *, lost_after: timedelta) -> timedelta:
    """The age at which a sent call of a queue that is served becomes suspect."""
    per_call = RATE_WINDOW / flow.started_lately
    return max(lost_after, per_call * flow.sent * OVERDUE_FACTOR)


def _overtaken(moment: datetime) -> ColumnElement[bool]:
    """A call sent later, and no more urgent, has been started: inside a priority a queue is first in, first out."""
    later = aliased(TaskCall)
    return exists().where(
        later.queue == TaskCall.queue,
        later.started_at > moment - RATE_WINDOW,
        later.sent_at > TaskCall.sent_at,
        later.priority <= TaskCall.priority,
    )


def _is_empty(depth: QueueDepth | None) -> bool:
    return depth is not None and depth.ready == 0 and not depth.unacked


def flows(session: Session, *, moment: datetime) -> dict[str, QueueFlow]:
    """The flow of every queue that has sent calls."""
    sent = (
        select(TaskCall.queue, func.count(), func.min(TaskCall.sent_at))
        .where(TaskCall.state == CallState.SENT)
        .group_by(TaskCall.queue)
    )
    started = (
        select(TaskCall.queue, func.count()).where(TaskCall.started_at > moment - RATE_WINDOW).group_by(TaskCall.queue)
    )
    running = select(TaskCall.queue, func.count()).where(TaskCall.state == CallState.RUNNING).group_by(TaskCall.queue)
    starts = dict(session.execute(started).all())
    runs = dict(session.execute(running).all())
    return {
        queue: QueueFlow(
            sent=count,
            started_lately=starts.get(queue, 0),
            running=runs.get(queue, 0),
            oldest_sent_at=oldest,
        )
        for queue, count, oldest in session.execute(sent)
    }


def _let_wait_again(
    session: Session, lost: tuple[ColumnElement[bool], ...], *, state: CallState, moment: datetime
) -> int:
    rows = select(TaskCall.id, TaskCall.generation).where(*lost).limit(SLICE).with_for_update(skip_locked=True)
    return sum(
        wait_again(session, row.id, generation=row.generation, states=(state,), due_at=moment)
        for row in session.execute(rows).all()
    )


def extend_leases(session: Session, *, until: datetime) -> None:
    """Grant every running call a full lease: renewals could not reach the database for a while."""
    short = update(TaskCall).where(TaskCall.state == CallState.RUNNING, TaskCall.lease_until < until)
    session.execute(short.values(lease_until=until).execution_options(synchronize_session=False))


def count_redispatched(session: Session, count: int) -> None:
    """`redispatched_total`: calls that were sent a second time because the first was lost."""
    row = session.get(Counter, REDISPATCHED) or Counter(name=REDISPATCHED, value=0)
    row.value += count
    session.add(row)
