"""The room of a worker: its calls run in company; one that is on its last start runs alone.

When a whole worker dies, nobody can tell which of its calls killed it, and each has used up a start. What dies alone
has killed it. So the last start that a call is allowed is made alone: whoever reaches the limit deserves it.

The room is two locks in memory, which die with their holders:

    door     shared while one enters; held by who wants to be alone, so that nobody else enters any more
    floor    shared by all that run; held by who is alone
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import worker_init

from app.errors import TransientError
from app.polling import pauses

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1


class RoomTaken(TransientError):
    """Somebody is alone in there, or others do not come out."""

    slug = "room-taken"
    title = "Another call has the worker for itself"


class Room:
    """Shared by the processes and threads of one worker: made before it forks."""

    def __init__(self) -> None:
        self._door = os.memfd_create("alexandria-door")
        self._floor = os.memfd_create("alexandria-floor")

    @contextmanager
    def company(self, *, patience_seconds: float) -> Iterator[None]:
        """Run beside others; raises `RoomTaken` when somebody is, or wants to be, alone for longer than this."""
        with _lock(self._floor) as floor:
            with _lock(self._door) as door:
                door.take(fcntl.LOCK_SH, patience_seconds)
                floor.take(fcntl.LOCK_SH, patience_seconds)
            yield

    @contextmanager
    def solitude(self, *, patience_seconds: float) -> Iterator[None]:
        """Run when all others have come out, and before anybody enters; raises `RoomTaken` after this long."""
        with _lock(self._door) as door, _lock(self._floor) as floor:
            door.take(fcntl.LOCK_EX, patience_seconds)
            floor.take(fcntl.LOCK_EX, patience_seconds)
            yield


class Lock:
    """A lock as one of its users has it: `flock` knows users by their open file."""

    def __init__(self, file: int) -> None:
        self._file = file

    def take(self, how: int, patience_seconds: float) -> None:
        """Raises `RoomTaken`."""
        if self._has_taken(how):
            return
        waits = pauses(
            first_seconds=FIRST_PAUSE_SECONDS, most_seconds=LONGEST_PAUSE_SECONDS, within_seconds=patience_seconds
        )
        if not any(self._has_taken(how) for _ in waits):
            raise RoomTaken(f"not free within {patience_seconds:g} seconds")

    def _has_taken(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _lock(shared: int) -> Iterator[Lock]:
    try:
        file = os.open(f"/proc/self/fd/{shared}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:  # no file descriptors: another time
        raise RoomTaken(f"the room cannot be entered: {error.strerror}") from error
    try:
        yield Lock(file)
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # not by closing alone: a child forked meanwhile has the file open too
        os.close(file)


_room: Room | None = None


def room_of_worker() -> Room:
    """The room of the worker that this process belongs to; of this process alone, where there is no worker."""
    return _make() if _room is None else _room


def give_workers_a_room() -> None:
    """Connect to Celery's signal before a worker forks; harmless in a process that is no worker."""
    worker_init.connect(_make, weak=False)


def _make(**_: Any) -> Room:
    global _room  # noqa: PLW0603 — one a worker is the point
    _room = Room()
    return _room
