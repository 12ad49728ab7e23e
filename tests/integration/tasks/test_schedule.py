"""Beat: one call a tick, however many beats there are, none lost while there is none, and no broker needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule
from sqlalchemy import select

from app.commands.scheduled import Scheduled
from app.database import Database, open_database
from app.models.base import new_id, now
from app.models.outbox import CallState, ScheduleTick, TaskCall
from app.services import upkeep
from app.services.library import Library
from app.services.scheduled_tasks import SCHEDULED
from app.settings import load_settings
from app.tasks.celery_app import celery_app
from app.tasks.schedule import OutboxScheduler, beat_schedule, tick_of
from app.tasks.task_names import TaskName
from app.transports.base import QUEUES
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.processes import OwnedProcess
from chaos.stack import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NIGHTLY = "cleanup-expired-cache"
MONTHLY = "retrain-classification-model"
WEEKLY = "detect-quality-outliers"
EVERY_SECOND = "reconcile-derived-data"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = open_database(load_settings(database_url=migrated_url))
    yield database
    database.engine.dispose()


class Beats:
    """`alexandria beat` as real processes, whose broker does not exist."""

    def __init__(self, url: str, directory: Path, stack: ExitStack) -> None:
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "DATABASE_URL": url,
            "BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
            "CACHE_URL": f"redis://127.0.0.1:{free_port()}/0",
            "DATA_DIR": str(directory),
            "RECONCILE_INTERVAL_SECONDS": "1",
            "CANARY_INTERVAL_SECONDS": "604800",
        }
        self._directory = directory
        self._stack = stack

    def start(self, name: str) -> OwnedProcess:
        process = OwnedProcess(
            name,
            [sys.executable, "-m", "app.cli", "beat"],
            log=self._directory / f"{name}.log",
            environment=self._environment,
            directory=ROOT,
        )
        process.start()
        self._stack.callback(process.kill)
        return process


@pytest.fixture
def beats(migrated_url: str, tmp_path: Path) -> Iterator[Beats]:
    with ExitStack() as stack:
        yield Beats(migrated_url, tmp_path, stack)


def ticks(database: Database, name: str) -> dict[datetime, UUID]:
    with database.reader() as session:
        rows = session.execute(select(ScheduleTick.tick, ScheduleTick.call_id).where(ScheduleTick.name == name)).all()
    return {row.tick: row.call_id for row in rows}


def calls(database: Database, task: TaskName) -> list[TaskCall]:
    with database.reader() as session:
        return list(session.scalars(select(TaskCall).where(TaskCall.task == task)))


@pytest.mark.parametrize("late_seconds", [0.0, 0.4, 7.3, 14.9])
def test_the_tick_of_an_interval_is_the_same_however_late_a_beat_comes(late_seconds: float) -> None:
    planned = moment("2026-03-01T10:00:15")

    with time_machine.travel(planned + timedelta(seconds=late_seconds), tick=False):
        assert tick_of(schedule(timedelta(seconds=15)), moment("2026-03-01T10:00:00")) == planned


def test_an_interval_that_is_come_to_a_little_late_each_time_leaves_no_tick_out() -> None:
    every = schedule(timedelta(seconds=1))
    start = moment("2026-11-20T12:00:00")
    scheduler = OutboxScheduler(app=celery_app, lazy=True)
    entry = ScheduleEntry(name=EVERY_SECOND, task="t", schedule=every, last_run_at=start, app=celery_app)
    ticks = []
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(1000):
            is_due, wait = entry.is_due()
            clock.shift(0 if is_due else wait)
            clock.shift(0.003)
            ticks.append(tick_of(every, entry.last_run_at or start))
            entry = scheduler.reserve(entry)

    assert ticks == [start + timedelta(seconds=number) for number in range(1, 1001)]


@pytest.mark.parametrize("seconds", [0.4, 0.999, 1.3, 2.5, 4.9])
def test_a_beat_that_is_held_up_makes_up_for_each_tick(seconds: float) -> None:
    every = schedule(timedelta(seconds=1))
    start = moment("2026-11-20T12:00:00")
    scheduler = OutboxScheduler(app=celery_app, lazy=True)
    entry = ScheduleEntry(name=EVERY_SECOND, task="t", schedule=every, last_run_at=start, app=celery_app)
    stored: list[datetime] = []
    with time_machine.travel(start, tick=False) as clock:
        clock.shift(1 + seconds)
        while entry.is_due()[0]:
            following = scheduler.reserve(entry)
            if not stored:
                clock.shift(seconds)  # between what Celery plans next and what is stored
            stored.append(tick_of(every, entry.last_run_at or start))
            entry = following

    assert stored == [start + timedelta(seconds=number) for number in range(1, 1 + int(1 + 2 * seconds))]


def test_a_beat_that_was_away_goes_on_with_the_last_tick() -> None:
    start = moment("2026-11-20T12:00:00")
    with time_machine.travel(start + timedelta(seconds=60.5), tick=False):
        assert tick_of(schedule(timedelta(seconds=1)), start) == start + timedelta(seconds=60)


@pytest.mark.parametrize("hours_late", [0, 1, 5, 19])
def test_the_tick_of_a_crontab_is_the_planned_time_however_late_a_beat_comes(hours_late: int) -> None:
    planned = moment("2026-03-02T04:00:00")

    with time_machine.travel(planned + timedelta(hours=hours_late), tick=False):
        assert tick_of(crontab(hour="4", minute="0"), moment("2026-03-01T04:00:00")) == planned


@pytest.mark.parametrize(
    ("name", "last", "planned"),
    [
        ("monitor-quality-degradation", "2026-03-01T02:00:00", "2026-03-02T02:00:00"),
        ("detect-quality-outliers", "2026-03-01T03:00:00", "2026-03-08T03:00:00"),  # Sundays
        (NIGHTLY, "2026-03-01T04:00:00", "2026-03-02T04:00:00"),
        (MONTHLY, "2026-03-01T00:00:00", "2026-04-01T00:00:00"),
    ],
)
def test_what_looks_after_the_library_is_due_when_the_seed_says(name: str, last: str, planned: str) -> None:
    with time_machine.travel(moment(planned) + timedelta(hours=1), tick=False):
        assert tick_of(beat_schedule(load_settings())[name]["schedule"], moment(last)) == moment(planned)


def test_every_scheduled_task_can_be_run_by_hand() -> None:
    entries = beat_schedule(load_settings()).values()
    scheduled = {entry["task"] for entry in entries} - {str(TaskName.CANARY)}
    assert {str(name) for name in SCHEDULED} == scheduled == {str(name) for name in Scheduled}


def test_the_schedule_holds_the_tasks_of_the_seed_the_reconciler_and_a_canary_for_each_queue() -> None:
    entries: dict[str, dict[str, Any]] = beat_schedule(load_settings())

    of_the_seed = {"monitor-quality-degradation", "detect-quality-outliers", NIGHTLY, MONTHLY}
    assert set(entries) == {EVERY_SECOND, *of_the_seed, *(f"canary-{queue}" for queue in QUEUES)}
    assert {entries[f"canary-{queue}"]["options"]["queue"] for queue in QUEUES} == set(QUEUES)
    assert {entry["task"] for entry in entries.values()} <= set(TaskName)


def test_two_beats_without_a_broker_store_one_call_for_each_tick(database: Database, beats: Beats) -> None:
    first, second = beats.start("first"), beats.start("second")

    def four_ticks() -> bool:
        assert first.running, first.log_tail()
        assert second.running, second.log_tail()
        retire(database, TaskName.RECONCILE)  # a tick that still waits would be joined by the next
        return len(ticks(database, EVERY_SECOND)) >= 4

    poll_until(four_ticks, within_seconds=60, what="four ticks")
    first.kill()
    second.kill()

    stored = ticks(database, EVERY_SECOND)
    assert all(tick.microsecond == 0 for tick in stored)
    assert len(set(stored.values())) >= 2
    assert_no_call_without_a_tick(database)


def test_a_tick_missed_while_no_beat_ran_is_taken_up_by_the_next(database: Database, beats: Beats) -> None:
    last = (now() - timedelta(days=3)).replace(hour=4, minute=0, second=0, microsecond=0)
    sunday = (now() - timedelta(days=now().isoweekday() % 7 + 14)).replace(hour=3, minute=0, second=0, microsecond=0)
    with database.writer() as session:
        session.add(ScheduleTick(name=NIGHTLY, tick=last, call_id=new_id()))
        session.add(ScheduleTick(name=WEEKLY, tick=sunday, call_id=new_id()))

    beat = beats.start("beat")
    stored = lambda: calls(database, TaskName.CLEANUP) and calls(database, TaskName.DETECT_OUTLIERS)  # noqa: E731
    poll_until(stored, within_seconds=60, what="the missed ticks are stored")
    beat.kill()

    missed = last + timedelta(days=1)
    assert set(ticks(database, NIGHTLY)) == {last, missed}
    assert set(ticks(database, WEEKLY)) == {sunday, sunday + timedelta(days=7)}
    [call] = calls(database, TaskName.CLEANUP)
    assert ticks(database, NIGHTLY)[missed] == call.id
    assert (call.state, call.queue, call.due_at <= now()) == (CallState.WAITING, "default", True)


def test_a_tick_that_was_missed_before_there_was_any_of_its_schedule_is_taken_up_too(
    database: Database, beats: Beats
) -> None:
    """As where the library never runs at night."""
    with database.writer() as session:
        session.add(ScheduleTick(name=EVERY_SECOND, tick=now() - timedelta(days=2), call_id=new_id()))

    beat = beats.start("beat")
    poll_until(lambda: calls(database, TaskName.CLEANUP), within_seconds=60, what="the missed tick is stored")
    beat.kill()

    [missed] = ticks(database, NIGHTLY)
    assert (missed.hour, missed.minute) == (4, 0)
    assert now() - timedelta(days=2) < missed < now()


def test_the_last_tick_of_a_schedule_outlives_the_retention(database: Database, library: Library) -> None:
    """What comes once a month is not forgotten in the month between."""
    old = [moment("2026-01-01T00:00:00"), moment("2026-02-01T00:00:00")]
    with database.writer() as session:
        session.add_all(ScheduleTick(name=MONTHLY, tick=one, call_id=new_id()) for one in old)
        session.add(ScheduleTick(name=NIGHTLY, tick=old[0], call_id=new_id()))

    with time_machine.travel(moment("2026-03-01T00:05:00"), tick=False):
        for removed in (1, 0):
            assert upkeep.clean_up(library, work=library.work)["schedule ticks"] == removed

    assert set(ticks(database, MONTHLY)) == {old[1]}
    assert set(ticks(database, NIGHTLY)) == {old[0]}


def test_a_beat_that_is_killed_and_started_again_does_not_double_a_tick(database: Database, beats: Beats) -> None:
    for round_ in range(2):
        beat = beats.start(f"beat-{round_}")
        before = len(ticks(database, EVERY_SECOND))
        poll_until(partial(has_ticked, database, before), within_seconds=60, what="it ticks")
        beat.kill()

    assert len(ticks(database, EVERY_SECOND)) >= 2
    assert_no_call_without_a_tick(database)


def test_a_new_library_has_its_canaries_at_once_and_only_once(database: Database, beats: Beats) -> None:
    for round_ in range(2):
        beat = beats.start(f"beat-{round_}")
        before = len(ticks(database, EVERY_SECOND))
        poll_until(partial(has_ticked, database, before), within_seconds=60, what="it ticks")
        poll_until(lambda: len(calls(database, TaskName.CANARY)) == len(QUEUES), within_seconds=10, what="canaries")
        beat.kill()

    assert {call.queue for call in calls(database, TaskName.CANARY)} == set(QUEUES)


def has_ticked(database: Database, before: int) -> bool:
    return len(ticks(database, EVERY_SECOND)) > before


def assert_no_call_without_a_tick(database: Database) -> None:
    """A tick that still waited was joined by the next; any other call would be a tick stored twice."""
    assert {call.id for call in calls(database, TaskName.RECONCILE)} == set(ticks(database, EVERY_SECOND).values())


def retire(database: Database, task: TaskName) -> None:
    """As if a worker had done what waits."""
    with database.writer() as session:
        for call in session.scalars(select(TaskCall).where(TaskCall.task == task, TaskCall.state == CallState.WAITING)):
            call.state, call.done_at = CallState.DONE, now()
