"""Waiting for something to become true: the one place of the package that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def wait_until(probe: Callable[[], bool], *, within_seconds: float, every_seconds: float = 0.05) -> bool:
    """Whether the probe became true before the deadline."""
    deadline = time.monotonic() + within_seconds
    while not probe():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(every_seconds, left))
    return True


def pauses(*, first_seconds: float, most_seconds: float, within_seconds: float) -> Iterator[None]:
    """Yield after each of a row of growing pauses, until the time is up."""
    deadline = time.monotonic() + within_seconds
    pause = first_seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        yield
        pause = min(pause * 1.5, most_seconds)
