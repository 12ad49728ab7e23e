"""Company and solitude, among threads and among processes that die."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from app.tasks.room import Room, RoomTaken
from chaos.polling import poll_until

PATIENT_SECONDS = 10.0
SHORT_SECONDS = 0.1


@pytest.fixture
def room() -> Room:
    return Room()


def company(room: Room, seconds: float = SHORT_SECONDS) -> AbstractContextManager[None]:
    return room.company(patience_seconds=seconds)


def solitude(room: Room, seconds: float = SHORT_SECONDS) -> AbstractContextManager[None]:
    return room.solitude(patience_seconds=seconds)


@contextmanager
def beside(visit: AbstractContextManager[None]) -> Iterator[threading.Event]:
    """Somebody else who enters, and stays until the end of the block; the event says that it is in."""
    is_in, may_leave = threading.Event(), threading.Event()

    def run() -> None:
        with visit:
            is_in.set()
            may_leave.wait(PATIENT_SECONDS)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield is_in
    finally:
        may_leave.set()
        thread.join(PATIENT_SECONDS)


def test_company_is_shared(room: Room) -> None:
    with company(room), company(room), company(room):
        pass


def test_who_wants_to_be_alone_waits_until_the_others_are_out(room: Room) -> None:
    with company(room), pytest.raises(RoomTaken), solitude(room):
        pass
    with solitude(room):
        pass


def test_nobody_enters_while_one_is_alone(room: Room) -> None:
    with solitude(room):
        for visit in (company(room), solitude(room)):
            with pytest.raises(RoomTaken), visit:
                pass


def test_nobody_enters_while_one_waits_to_be_alone_and_all_do_when_it_has_left(room: Room) -> None:
    with ExitStack() as others:
        others.enter_context(company(room))
        with beside(solitude(room, PATIENT_SECONDS)) as is_alone:
            poll_until(lambda: is_shut(room), within_seconds=PATIENT_SECONDS, what="the door is held")
            assert not is_alone.is_set()
            others.close()
            assert is_alone.wait(PATIENT_SECONDS)
            assert is_shut(room)
    assert not is_shut(room)


def is_shut(room: Room) -> bool:
    try:
        with company(room):
            return False
    except RoomTaken:
        return True


def test_who_gave_up_waiting_keeps_nobody_out(room: Room) -> None:
    with company(room):
        with pytest.raises(RoomTaken), solitude(room):
            pass
        with company(room):
            pass


@pytest.mark.parametrize("visit", [company, solitude])
def test_a_process_that_is_killed_inside_leaves_the_room(
    room: Room, visit: Callable[[Room], AbstractContextManager[None]]
) -> None:
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with visit(room):
            os.write(tell, b"in")
            signal.pause()
    try:
        assert os.read(told, 2) == b"in"
        with pytest.raises(RoomTaken), solitude(room):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
    with solitude(room, PATIENT_SECONDS):
        pass
