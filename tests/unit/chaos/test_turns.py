"""Turns: company, solitude, and nobody starved of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from chaos.polling import poll_until
from chaos.turns import Turns


class Process:
    """A test process: a thread with locks of its own."""

    def __init__(self, directory: Path, pool: ThreadPoolExecutor) -> None:
        self.turns = Turns(directory)
        self._pool = pool
        self._may_go = Event()
        self.events: list[str] = []

    def start(self, *, alone: bool) -> Future[None]:
        return self._pool.submit(self._measure if alone else self._work)

    def leave(self) -> None:
        self._may_go.set()

    def _work(self) -> None:
        with self.turns.beside_others():
            self.events.append("beside")
            assert self._may_go.wait(10)
        self.events.append("left")

    def _measure(self) -> None:
        with self.turns.beside_others():
            self.events.append("asks")
            with self.turns.alone():
                self.events.append("alone")
                assert self._may_go.wait(10)
        self.events.append("left")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    processes: list[Process] = []
    with ThreadPoolExecutor() as pool:

        def make() -> Process:
            processes.append(Process(tmp_path, pool))
            return processes[-1]

        yield make
        for one in processes:
            one.leave()
    for one in processes:
        one.turns.close()


def until(process: Process, event: str) -> None:
    poll_until(lambda: event in process.events, within_seconds=10, what=event, every_seconds=0.005)


def test_two_work_beside_each_other(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    one.start(alone=False)
    other.start(alone=False)
    until(one, "beside")
    until(other, "beside")


def test_who_measures_waits_for_the_others_and_keeps_later_ones_out(process: Callable[[], Process]) -> None:
    worker, measurer, late = process(), process(), process()
    worker.start(alone=False)
    until(worker, "beside")
    measuring = measurer.start(alone=True)
    until(measurer, "asks")
    coming = late.start(alone=False)
    assert "alone" not in measurer.events

    worker.leave()
    until(measurer, "alone")
    assert worker.events == ["beside", "left"]

    late.leave()
    measurer.leave()
    measuring.result(10)
    coming.result(10)
    assert late.events == ["beside", "left"]


def test_nobody_is_beside_one_that_is_alone(process: Callable[[], Process]) -> None:
    measurer, late = process(), process()
    measuring = measurer.start(alone=True)
    until(measurer, "alone")
    coming = late.start(alone=False)
    assert late.events == []

    measurer.leave()
    measuring.result(10)
    until(late, "beside")
    late.leave()
    coming.result(10)


def test_two_that_measure_take_turns(process: Callable[[], Process]) -> None:
    one, other = process(), process()
    first, second = one.start(alone=True), other.start(alone=True)
    poll_until(lambda: "alone" in one.events + other.events, within_seconds=10, what="one is alone")
    inside, outside = (one, other) if "alone" in one.events else (other, one)
    assert "alone" not in outside.events

    inside.leave()
    until(outside, "alone")
    outside.leave()
    first.result(10)
    second.result(10)
