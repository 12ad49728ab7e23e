"""Waiting for something to become true: the one place of chaos and tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


class DeadlineMissed(AssertionError):
    """What was waited for did not happen in time."""


def poll_until(
    probe: Callable[[], Value],
    *,
    within_seconds: float,
    what: str,
    every_seconds: float = 0.05,
) -> Value:
    """The first true answer of `probe`, asked until the deadline, or `DeadlineMissed` with the last answer.

    An exception of the probe is not caught: a probe of something that may be away answers falsely itself.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        answer = probe()
        if answer:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineMissed(f"not within {within_seconds:g} s: {what} (last answer: {answer!r})")
        time.sleep(min(every_seconds, left))
