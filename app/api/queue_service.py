"""Queue service: what the tables say of how each queue is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.base import now
from app.models.outbox import OPEN_STATES, CallState, TaskCall, in_state
from app.tasks.task_names import TaskName

LOOK_EVERY_SECONDS = 5.0
CANARY_MEMORY = timedelta(minutes=5)
CANARIES_MISSED = 4
CANARY_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueService:
    """How the queues are served.

    `canaries`: when each queue last brought one back; null: it has one to bring, and brought none lately. A queue that
    is not named was sent none: no beat runs. `finished`: when any call of it last came to an end. `open_calls`: how
    many have not.
    """

    canaries: Mapping[str, datetime | None]
    finished: Mapping[str, datetime]
    open_calls: Mapping[str, int]


UNKNOWN = QueueService(canaries={}, finished={}, open_calls={})


def canary_patience_seconds(interval_seconds: float) -> float:
    """How long a queue may finish nothing before it counts as not served, when a canary is sent each interval."""
    return max(CANARIES_MISSED * interval_seconds, CANARY_PATIENCE_SECONDS)


def canary_memory(interval_seconds: float) -> timedelta:
    """How far back a canary is looked for."""
    return max(CANARY_MEMORY, timedelta(seconds=canary_patience_seconds(interval_seconds)))


def canaries(session: Session, *, since: datetime) -> dict[str, datetime | None]:
    """When each queue last brought a canary back; None: it has one to bring, and brought none since `since`."""
    sent = select(TaskCall.queue).where(in_state(*OPEN_STATES), TaskCall.task == TaskName.CANARY).distinct()
    done = (
        select(TaskCall.queue, func.max(TaskCall.done_at))
        .where(
            TaskCall.done_at >= since,
            TaskCall.task == TaskName.CANARY,
            TaskCall.state == CallState.DONE,
        )
        .group_by(TaskCall.queue)
    )
    return {**dict.fromkeys(session.scalars(sent)), **dict(session.execute(done).all())}


class QueueExamination:
    """Looks every few seconds, and of what ended only at what ended since it looked last."""

    def __init__(self, *, canary_interval_seconds: float) -> None:
        self._memory = canary_memory(canary_interval_seconds)
        self._patience = timedelta(seconds=canary_patience_seconds(canary_interval_seconds))
        self._look_every_seconds = min(canary_interval_seconds / 2, LOOK_EVERY_SECONDS)
        self._latest = UNKNOWN
        self._looked_at: datetime | None = None
        self._look_at = 0.0

    def __call__(self, session: Session) -> QueueService:
        """What was found last, half an interval of the canaries ago, and at most `LOOK_EVERY_SECONDS`."""
        if monotonic() >= self._look_at:
            self._latest = self._look(session, moment=now())
            self._look_at = monotonic() + self._look_every_seconds
        return self._latest

    def _look(self, session: Session, *, moment: datetime) -> QueueService:
        # Once more what ended shortly before the last look: it may not have been committed then.
        since = self._looked_at - timedelta(seconds=LOOK_EVERY_SECONDS) if self._looked_at else moment - self._patience
        ended = select(TaskCall.queue, func.max(TaskCall.done_at)).where(TaskCall.done_at >= since)
        unfinished = select(TaskCall.queue, func.count()).where(in_state(*OPEN_STATES))
        self._looked_at = moment
        news = {queue: at for queue, at in session.execute(ended.group_by(TaskCall.queue)) if at is not None}
        return QueueService(
            canaries=canaries(session, since=moment - self._memory),
            finished={**self._latest.finished, **news},
            open_calls=dict(session.execute(unfinished.group_by(TaskCall.queue)).all()),
        )
