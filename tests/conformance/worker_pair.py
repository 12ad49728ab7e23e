"""Two workers on one queue: one to be killed or frozen, and one that takes over what the other held."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import psutil

from chaos.polling import poll_until
from tests.conformance.product_worker import HeldTasks, ProductWorker

VICTIM_SLOTS = 2
SURVIVOR_SLOTS = 4
SERVES_WITHIN_SECONDS = 30.0
TOO_LATE_SECONDS = 60.0
"""Above every bound: one that is missed is told with its time."""


class WorkerPair:
    """A context manager: inside, both take messages; the survivor has room for all that the victim can hold."""

    def __init__(self, url: str, tasks: HeldTasks, *, pool: str = "prefork") -> None:
        self.tasks = tasks
        self.victim = ProductWorker("victim", url=url, tasks=tasks, pool=pool, concurrency=VICTIM_SLOTS)
        self.survivor = ProductWorker("survivor", url=url, tasks=tasks, pool=pool, concurrency=SURVIVOR_SLOTS)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for worker in (self.survivor, self.victim):
            self._stack.enter_context(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def occupy_victim(self) -> str:
        """The name of a held task that runs in the victim and nowhere else; both take turns, one gets the next."""
        deadline = time.monotonic() + SERVES_WITHIN_SECONDS
        while time.monotonic() < deadline:
            (name,) = self.tasks.publish()
            self.tasks.wait_started(name)
            if not self.tasks.starts(name, by="survivor"):
                return name
            self.finish(name)
        raise AssertionError("the victim takes nothing")

    def seconds_until_taken_over(self, name: str, *, since: float) -> float:
        """From `since` (monotonic) until it runs in the survivor."""
        poll_until(
            lambda: self.tasks.starts(name, by="survivor"),
            within_seconds=TOO_LATE_SECONDS,
            every_seconds=0.02,
            what="the survivor runs what the victim held",
        )
        return time.monotonic() - since

    def finish(self, name: str) -> None:
        """Let it end, and see that it did."""
        self.tasks.release(name)
        self.tasks.wait_ended(name)


def kill_main_alone(worker: ProductWorker) -> None:
    """SIGKILL to the main process: its children find out by themselves."""
    os.kill(worker.process.pid, signal.SIGKILL)


def kill_everyone(worker: ProductWorker) -> None:
    """SIGKILL to the main process and its children, all at once."""
    main = psutil.Process(worker.process.pid)
    for process in (main, *main.children(recursive=True)):
        process.kill()


def replace_children(worker: ProductWorker) -> None:
    """SIGKILL to the children: their successors are forked while the connection to the broker is open."""
    main = psutil.Process(worker.process.pid)
    before = {child.pid for child in main.children()}
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    poll_until(
        lambda: len({child.pid for child in main.children()} - before) == len(before),
        within_seconds=20,
        what="the pool has replaced its children",
    )


WAYS_TO_DIE: tuple[Callable[[ProductWorker], None], ...] = (kill_main_alone, kill_everyone)
