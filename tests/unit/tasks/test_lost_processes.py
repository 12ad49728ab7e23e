"""The timer that looks for dead pool processes: one, however often the event loop begins anew.

That a killed one is missed in time is scenario 14 of the chaos suite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.tasks.lost_processes import LOOK_EVERY_SECONDS, LostProcesses


@dataclass
class Timer:
    seconds: float
    look: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Hub:
    timers: list[Timer] = field(default_factory=list)

    def call_repeatedly(self, seconds: float, look: Callable[[], None]) -> Timer:
        self.timers.append(Timer(seconds, look))
        return self.timers[-1]


class Processes:
    looked = 0

    def maintain_pool(self) -> None:
        self.looked += 1


@dataclass
class Pool:
    _pool: Processes | None


@dataclass
class Worker:
    pool: Pool


def test_a_loop_that_begins_anew_has_one_timer() -> None:
    hub, worker = Hub(), Worker(Pool(Processes()))
    step = LostProcesses(worker)
    for _ in range(3):
        step.register_with_event_loop(worker, hub)

    [timer] = [timer for timer in hub.timers if not timer.cancelled]
    assert timer.seconds == LOOK_EVERY_SECONDS
    timer.look()
    assert worker.pool._pool is not None
    assert worker.pool._pool.looked == 1


def test_a_pool_without_processes_is_not_looked_at() -> None:
    hub, worker = Hub(), Worker(Pool(None))
    LostProcesses(worker).register_with_event_loop(worker, hub)
    assert hub.timers == []
