"""Strangers: messages that no call of the outbox is behind, sent by `task.delay` or another program.

No row knows them, so their starts are counted by their id until one comes to an end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from app.database import Database
from app.errors import TooManyDeliveries
from app.events import counters
from app.tasks.patience import patiently


def stranger_named(message_id: str) -> str:
    """The counter of a message, whatever its sender calls it."""
    return "starts:" + hashlib.sha256(message_id.encode()).hexdigest()[:48]


@contextmanager
def counted_start(database: Database, message_id: str, *, max_deliveries: int) -> Iterator[None]:
    """The length of one start; raises `TooManyDeliveries` after so many that never came to an end."""
    name = stranger_named(message_id)

    def begin() -> int:
        with database.writer() as session:
            return counters.count(session, name, 1)

    def end() -> None:
        with database.writer() as session:
            counters.forget(session, name)

    starts = patiently(begin)
    try:
        if starts > max_deliveries:
            raise TooManyDeliveries(f"started {max_deliveries} times and never came to an end")
        yield
    finally:
        patiently(end)
