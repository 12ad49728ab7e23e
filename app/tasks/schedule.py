"""The schedule: beat inserts outbox rows like everyone else, so a tick is never lost and two beats do not double it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import stamina
import structlog
from celery.beat import Scheduler
from celery.schedules import crontab
from sqlalchemy import func, select

from app.database import get_database
from app.errors import DatabaseUnavailable
from app.events import outbox
from app.events.hooks import PlannedCall
from app.models.base import now
from app.models.outbox import ScheduleTick
from app.services.presence import sign_of_life
from app.settings import Settings, get_settings
from app.tasks.task_names import TaskName
from app.transports.base import QUEUES, Priority

log = structlog.get_logger(__name__)

LEAST_URGENT = 0
LATE = timedelta(seconds=10)
"""A beat that is no later than this makes up for each tick of an interval; one that was away longer, for the last."""
EPOCH = datetime.fromtimestamp(0, UTC)


def beat_schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """Celery's form of the schedule; `options` holds queue and priority."""
    canary = timedelta(seconds=settings.canary_interval_seconds)
    reconcile = timedelta(seconds=settings.reconcile_interval_seconds)
    entries: dict[str, dict[str, Any]] = {
        "reconcile-derived-data": _entry(TaskName.RECONCILE, reconcile, priority=Priority.LOW),
        "monitor-quality-degradation": _entry(
            TaskName.MONITOR_DEGRADATION, crontab(hour="2", minute="0"), priority=Priority.LOW
        ),
        "detect-quality-outliers": _entry(
            TaskName.DETECT_OUTLIERS, crontab(day_of_week="0", hour="3", minute="0"), priority=Priority.LOW
        ),
        "cleanup-expired-cache": _entry(TaskName.CLEANUP, crontab(hour="4", minute="0"), priority=Priority.LOW),
    }
    monthly = crontab(day_of_month="1", hour="0", minute="0")
    entries["retrain-classification-model"] = _entry(
        TaskName.RETRAIN_CLASSIFIER, monthly, queue="ml_tasks", priority=Priority.LOW
    )
    # Nothing is less urgent than a canary: where it gets through, everything does.
    entries |= {
        f"canary-{queue}": _entry(TaskName.CANARY, canary, queue=queue, priority=LEAST_URGENT, args=(queue,))
        for queue in QUEUES
    }
    return entries


def _entry(
    task: TaskName, when: timedelta | crontab, *, priority: int, queue: str = "default", args: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {"task": str(task), "schedule": when, "args": args, "options": {"queue": queue, "priority": int(priority)}}


class OutboxScheduler(Scheduler):
    """Celery's scheduler with the outbox in place of the broker: it needs no broker at all."""

    producer = None  # type: ignore[assignment]  # never asked for a connection

    def setup_schedule(self) -> None:
        """Take up where the last beat left off: a tick missed meanwhile is due at once, and so is a first interval.

        What never ticked though beats have run is missed since the first of them: no beat was there at its hour.
        """
        super().setup_schedule()
        self.merge_inplace(self.app.conf.beat_schedule)
        ticked, known_since = _known_ticks()
        for name, entry in self.schedule.items():
            when: Any = entry.schedule  # the stub of an interval lacks its length
            if name in ticked:
                entry.last_run_at = ticked[name]
            elif not isinstance(when, crontab):  # of a new library, say: its canaries tell that it works
                entry.last_run_at = now() - when.run_every
            elif known_since is not None:
                entry.last_run_at = known_since

    def reserve(self, entry: Any) -> Any:
        """An interval goes on from its planned time, whenever it was come to: what became due meanwhile is next."""
        following: Any = super().reserve(entry)  # the stub names another type
        if not isinstance(entry.schedule, crontab):
            following.last_run_at = tick_of(entry.schedule, entry.last_run_at)
        return following

    def apply_async(self, entry: Any, producer: object = None, advance: bool = True, **_: object) -> None:  # noqa: ARG002
        """Store the call of this tick; waits for the database as long as it takes."""
        tick = tick_of(entry.schedule, entry.last_run_at)
        for attempt in stamina.retry_context(on=DatabaseUnavailable, attempts=None, timeout=None, wait_max=5.0):
            with attempt:
                store_tick(entry, tick)
        sign_of_life(get_settings().alive_file)


def tick_of(when: Any, last_run_at: datetime) -> datetime:
    """The planned time of the tick that is due after this one: the same for every beat, however late it comes.

    Ticks of an interval are the multiples of it since 1970. Who is later than `LATE` goes on with the newest.
    """
    if not isinstance(when, crontab):
        period: timedelta = when.run_every
        newest = EPOCH + (now() - EPOCH) // period * period
        following = EPOCH + ((last_run_at - EPOCH) // period + 1) * period
        return following if newest - LATE <= following <= newest else newest
    since, delta, _ = when.remaining_delta(last_run_at)
    planned: datetime = since + delta
    return planned.astimezone(UTC)


def store_tick(entry: Any, tick: datetime) -> bool:
    """Store one tick; False when another beat has stored it. A canary that still waits is joined, not doubled."""
    options = entry.options
    call = PlannedCall(
        task=TaskName(entry.task),
        args=list(entry.args or ()),
        queue=options["queue"],
        priority=options["priority"],
        delay=timedelta(0),
        coalesce_key=f"schedule:{entry.name}",
    )
    with get_database("worker").writer() as session:
        stored = outbox.enqueue_tick(session, call, schedule=entry.name, tick=tick)
        if stored is not None:
            outbox.wake_relay(session)
    log.debug("tick", schedule=entry.name, tick=tick.isoformat(), call_id=str(stored), doubled=stored is None)
    return stored is not None


def _known_ticks() -> tuple[dict[str, datetime], datetime | None]:
    """The last tick of each schedule, and the first that is known of any."""
    of_each = select(ScheduleTick.name, func.max(ScheduleTick.tick), func.min(ScheduleTick.tick))
    for attempt in stamina.retry_context(on=DatabaseUnavailable, attempts=None, timeout=None, wait_max=5.0):
        with attempt, get_database("worker").reader() as session:
            rows = session.execute(of_each.group_by(ScheduleTick.name)).all()
            return {name: last for name, last, _ in rows}, min((first for _, _, first in rows), default=None)
    raise AssertionError("unreachable: the retry has no end")
