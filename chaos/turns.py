"""Turns: what several processes do is done beside each other, and what measures is done alone."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """The place of one process among those that share `directory`. Its locks die with the process.

    A room that many enter together or one alone, and a door before it: who waits at the door to be alone is
    not overtaken by those who come later.
    """

    def __init__(self, directory: Path) -> None:
        self._door = (directory / "door").open("w")
        self._room = (directory / "room").open("w")

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Inside, no other process is `alone`; waits for the one that is."""
        self._enter(fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only within `beside_others`. Waits until the others have ended what they do; they wait while this lasts."""
        fcntl.flock(self._room, fcntl.LOCK_UN)
        self._enter(fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give up the place."""
        self._door.close()
        self._room.close()

    def _enter(self, kind: int) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, kind)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
