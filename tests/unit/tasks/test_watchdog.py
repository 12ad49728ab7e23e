"""When the watchdog bites, told on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from app.tasks.watchdog import LOOK_SECONDS, PATIENCE_SECONDS, Consuming, Watchdog


class Scene:
    """A worker and its broker as the watchdog sees them, and the time. The event loop turns unless it is stopped."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.ready: int | None = 5
        self.turns = True
        self.worker = Consuming(queues=("default",), free_slots=1, alive_at=0.0, turned_at=self.seconds)
        self.watchdog = Watchdog(self._waiting, lambda: self.worker, clock=lambda: self.seconds)

    def bites_after(self, seconds: float = 10 * PATIENCE_SECONDS) -> float | None:
        """Seconds from now until it bites; None: it never does."""
        began = self.seconds
        while self.seconds <= began + seconds:
            if self.turns:
                self.worker = replace(self.worker, turned_at=self.seconds)
            if self.watchdog.look():
                return self.seconds - began
            self.seconds += self.watchdog.next_look_in()
        return None

    def _waiting(self, queues: Collection[str]) -> int | None:
        assert queues == ("default",)
        return self.ready


def test_a_worker_that_takes_nothing_of_what_waits_is_bitten_when_the_patience_is_over() -> None:
    assert Scene().bites_after() == PATIENCE_SECONDS


def test_a_loop_that_stands_still_is_bitten_though_the_broker_has_sent_everything() -> None:
    scene = Scene()
    scene.turns, scene.ready = False, 0
    assert scene.bites_after() == PATIENCE_SECONDS


def test_a_loop_that_stands_still_is_bitten_when_the_patience_ends_not_at_the_look_after_that() -> None:
    scene = Scene()
    scene.turns, scene.ready = False, 0
    scene.seconds += 0.4 * LOOK_SECONDS  # it stood still between two looks
    assert scene.bites_after() == pytest.approx(PATIENCE_SECONDS - 0.4 * LOOK_SECONDS)


def test_a_loop_that_turns_over_an_empty_queue_is_left_alone() -> None:
    scene = Scene()
    scene.ready = 0
    assert scene.bites_after() is None


@pytest.mark.parametrize("free_slots", [0, -3])
def test_a_busy_worker_is_left_alone(free_slots: int) -> None:
    scene = Scene()
    scene.worker = replace(scene.worker, free_slots=free_slots)
    assert scene.bites_after() is None


def test_a_busy_solo_worker_is_left_alone_though_its_loop_stands_still() -> None:
    scene = Scene()
    scene.turns = False
    scene.worker = replace(scene.worker, free_slots=0, turns_in_tasks=False)
    assert scene.bites_after() is None


def test_a_loop_that_stands_still_cannot_hide_behind_tasks_whose_ends_nobody_reads() -> None:
    scene = Scene()
    scene.turns = False
    scene.worker = replace(scene.worker, free_slots=0)
    assert scene.bites_after() == PATIENCE_SECONDS


@pytest.mark.parametrize("turns", [True, False])
def test_a_paused_worker_is_left_alone(turns: bool) -> None:
    scene = Scene()
    scene.turns = turns
    scene.worker = replace(scene.worker, queues=())
    assert scene.bites_after() is None


@pytest.mark.parametrize("turns", [True, False])
def test_nobody_is_bitten_while_the_broker_is_away(turns: bool) -> None:
    scene = Scene()
    scene.turns, scene.ready = turns, None
    assert scene.bites_after() is None


def test_a_message_taken_or_a_trouble_noticed_begins_the_patience_anew() -> None:
    scene = Scene()
    assert scene.bites_after(PATIENCE_SECONDS - 1) is None
    scene.worker = replace(scene.worker, alive_at=scene.seconds)
    assert scene.bites_after() == LOOK_SECONDS + PATIENCE_SECONDS


def test_a_worker_that_tries_to_reconnect_is_left_alone_when_its_broker_is_back_first_for_the_watchdog() -> None:
    scene = Scene()
    scene.turns, scene.ready = False, None
    assert scene.bites_after(60) is None
    scene.worker = replace(scene.worker, alive_at=scene.seconds - 2.5 * LOOK_SECONDS)  # its last try
    scene.ready = 5
    assert scene.bites_after(2 * LOOK_SECONDS) is None


def test_one_look_that_finds_all_well_begins_the_patience_anew() -> None:
    scene = Scene()
    assert scene.bites_after(PATIENCE_SECONDS - 1) is None
    scene.ready = 0
    assert scene.bites_after(LOOK_SECONDS) is None
    scene.ready = 1
    assert scene.bites_after() == PATIENCE_SECONDS


def test_a_process_that_slept_is_given_all_the_patience_when_it_wakes() -> None:
    scene = Scene()
    scene.turns = False
    assert scene.bites_after(LOOK_SECONDS) is None
    scene.seconds += 60
    assert scene.bites_after() == PATIENCE_SECONDS


def test_a_loop_that_stood_still_with_a_silent_broker_has_all_its_patience_when_the_broker_answers_again() -> None:
    scene = Scene()
    scene.turns, scene.ready = False, None
    assert scene.bites_after() is None

    scene.ready = 5

    assert scene.bites_after() == PATIENCE_SECONDS
