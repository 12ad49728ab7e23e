"""The watchdog: a worker that could consume and does not starts itself anew (ADR 0019).

A thread of the main process asks the broker, over a connection of its own, how many messages wait in the queues that
this worker reads. Messages that wait while a slot is free, the consumer knows of no trouble and nothing arrives, for
`PATIENCE_SECONDS` on end, mean that the consumer hangs. So does an event loop that stands still while the broker
answers, whatever the tasks do (solo excepted, whose loop is the task): RabbitMQ has sent what waits, and nobody reads
it. It may hang anywhere, so nothing is asked of it: the children are killed, and this process becomes a new worker
under the same pid. What it held goes back to the queue.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import structlog
from celery.bootsteps import RUN  # type: ignore[attr-defined]  # celery-types lacks it
from celery.concurrency.solo import TaskPool as SoloPool
from celery.signals import task_received, task_rejected, task_unknown, worker_ready, worker_shutdown
from celery.worker import state

import app
from app.errors import AlexandriaError
from app.settings import environment_of_child, get_settings
from app.transports.registry import open_transport

PATIENCE_SECONDS = 5.0
"""With a start on top, which costs 2 s of a processor, a hanging worker is replaced within 15 s where it has a third of
one to itself."""
LOOK_SECONDS = 1.0
SOONEST_LOOK_SECONDS = 0.05
TURN_SECONDS = 0.5
STANDS_STILL_SECONDS = 3.0
ASK_DEADLINE_SECONDS = 1.0
SAID_WITHIN_SECONDS = 0.5
CHILDREN_GONE_WITHIN_SECONDS = 2.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consuming:
    """What a worker says of its consumer: the queues it reads now, and how many slots are free.

    Monotonic seconds: `alive_at` when it last took a message or noticed trouble with its broker, `turned_at` when
    its event loop last went round; `turns_in_tasks`: it does so beside running tasks (solo does not).
    """

    queues: Collection[str]
    free_slots: int
    alive_at: float
    turned_at: float
    turns_in_tasks: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """What to run in place of this process, and what to add to its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class Watchdog:
    """Decides. `waiting` counts the ready messages of queues; None: the broker does not say."""

    def __init__(
        self,
        waiting: Callable[[Collection[str]], int | None],
        consuming: Callable[[], Consuming],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = waiting
        self._consuming = consuming
        self._clock = clock
        self._stuck_since: float | None = None
        self._excused_until = self._looked_at = clock()

    def look(self) -> bool:
        """True when `PATIENCE_SECONDS` have passed in which each look found work that nobody took."""
        looked_before = self._note_look()
        consuming = self._consuming()
        has_news = consuming.alive_at > looked_before  # then a busy broker is not even asked
        is_busy = consuming.free_slots <= 0
        if has_news or not consuming.queues or (is_busy and not consuming.turns_in_tasks):
            return self._all_well()
        waiting = self._waiting(consuming.queues)
        moment, consuming = self._clock(), self._consuming()
        if waiting is None:  # whoever waits for the broker may stand still as long as it is away
            self._excused_until = moment
        still_since = max(consuming.turned_at, consuming.alive_at, self._excused_until)
        stands_still = moment - still_since >= STANDS_STILL_SECONDS
        could_take = waiting and not is_busy
        if waiting is None or not (could_take or stands_still):
            return self._all_well()
        if self._stuck_since is None:
            self._stuck_since = still_since if stands_still else moment
        return moment - self._stuck_since >= PATIENCE_SECONDS

    def next_look_in(self) -> float:
        """Seconds. Who has been found stuck once is looked at again when the patience ends, not up to a look later."""
        if self._stuck_since is None:
            return LOOK_SECONDS
        left = self._stuck_since + PATIENCE_SECONDS - self._clock()
        return min(max(left, SOONEST_LOOK_SECONDS), LOOK_SECONDS)

    def _note_look(self) -> float:
        """When the last look was. If that is long ago, all of this process slept: nobody could take anything."""
        before, self._looked_at = self._looked_at, self._clock()
        if self._looked_at - before >= STANDS_STILL_SECONDS:
            self._excused_until = self._looked_at
            self._stuck_since = None
        return before

    def _all_well(self) -> bool:
        self._stuck_since = None
        return False


class WorkerWatch:
    """The watchdog of this process's worker, from ready to shutdown."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._took_at = self._turned_at = time.monotonic()
        self._stop = threading.Event()
        self._transport = open_transport(get_settings().broker)
        self._watchdog = Watchdog(self._waiting, self._consuming)
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on."""
        for signal in (task_received, task_rejected, task_unknown):
            signal.connect(self._took, weak=False)
        self._consumer.timer.call_repeatedly(TURN_SECONDS, self._turned)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more: a worker that ends takes nothing."""
        self._stop.set()

    def _took(self, **_: object) -> None:
        self._took_at = time.monotonic()

    def _turned(self) -> None:
        self._turned_at = time.monotonic()

    def _waiting(self, queues: Collection[str]) -> int | None:
        """None while the broker is away: there is nothing that a new worker could do better."""
        try:
            depths = self._transport.depths(sorted(queues), deadline_seconds=ASK_DEADLINE_SECONDS)
        except AlexandriaError:
            return None
        return sum(depth.ready for depth in depths.values())

    def _consuming(self) -> Consuming:
        consumer = self._consumer
        ending = self._is_ending()
        return Consuming(
            queues=() if ending else tuple(consumer.app.amqp.queues.consume_from),
            free_slots=0 if ending else int(consumer.pool.num_processes) - len(state.reserved_requests),
            alive_at=max(self._took_at, consumer.last_trouble_at() or 0.0),
            turned_at=self._turned_at,
            turns_in_tasks=not isinstance(consumer.pool, SoloPool),
        )

    def _is_ending(self) -> bool:
        """Asked to stop, by a signal or by remote control: it takes nothing on purpose."""
        asked = state.should_stop is not None or state.should_terminate is not None
        return asked or self._consumer.controller.blueprint.state != RUN

    def _run(self) -> None:
        while not self._stop.wait(self._watchdog.next_look_in()):
            try:
                hangs = self._watchdog.look()
            except Exception as error:  # noqa: BLE001 — whatever it is, the next look may succeed
                _say(logging.ERROR, "the watchdog could not look", exc_info=error)
                continue
            if hangs and not self._stop.is_set():
                _say(
                    logging.CRITICAL,
                    "the consumer hangs: messages wait, slots are free, nothing is taken; starting anew",
                )
                start_anew(_restart or Restart(command=(sys.executable, *sys.orig_argv[1:])))
        self._transport.close()


_watch: WorkerWatch | None = None
_restart: Restart | None = None


def watch_workers() -> None:
    """Connect to Celery's signals; harmless in a process that is no worker."""
    worker_ready.connect(_begin, weak=False)
    worker_shutdown.connect(_end, weak=False)


def restart_with(*arguments: str) -> None:
    """Say which `alexandria` command makes this worker; the command line of a copy of `alexandria up` does not."""
    global _restart  # noqa: PLW0603 — one worker a process
    root = str(Path(app.__file__).resolve().parents[1])
    command = (sys.executable, "-P", "-m", "app.cli", *arguments)
    _restart = Restart(command=command, environment={"PYTHONPATH": root})


def _say(level: int, what: str, **details: object) -> None:
    """In the log or else on its descriptor: who hangs may hold the lock of the log, or of its stream, for ever."""

    def log_it() -> None:
        log.log(level, what, **details)
        sys.stdout.flush()

    def write_it() -> None:
        os.write(sys.stderr.fileno(), f"{what}\n".encode())

    for say in (log_it, write_it):
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(SAID_WITHIN_SECONDS)
        if not saying.is_alive():
            return


def start_anew(restart: Restart) -> None:
    """Become a new worker: the same pid for whoever supervises it, no sockets, no children."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=CHILDREN_GONE_WITHIN_SECONDS)
    environment = environment_of_child(restart.environment)
    os.execve(restart.command[0], restart.command, environment)  # noqa: S606 — our own command line, no shell


def _begin(sender: Any, **_: object) -> None:
    global _watch  # noqa: PLW0603 — one worker a process
    _watch = WorkerWatch(sender)
    _watch.start()


def _end(**_: object) -> None:
    if _watch is not None:
        _watch.stop()
