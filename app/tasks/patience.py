"""Patience with the database: a worker waits in place while it is away, and gives nothing up for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import stamina

from app.errors import DatabaseUnavailable

T = TypeVar("T")


def patiently(function: Callable[[], T]) -> T:
    """Its answer, once the database has answered."""
    waits = stamina.retry_context(on=DatabaseUnavailable, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0)
    for attempt in waits:
        with attempt:
            return function()
    raise AssertionError("unreachable: the retry has no end")
