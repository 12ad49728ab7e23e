"""Announcements: what is told to whoever listens, and needs no answer. Celery's events of tasks are such.

Stock kombu makes a client for each event and waits for its answer: half the time of a busy worker's main process.
"""

from __future__ import annotations

import contextlib
from typing import Any

READ_EVERY = 32
"""Answers are read so many at a time; a server that gives none is noticed when its socket takes no more."""


class Announcements:
    """A connection of a pool that says one thing after the other. Raises redis-py's errors, perhaps late."""

    def __init__(self, pool: Any) -> None:
        # Any: redis-py leaves the methods of pools and connections untyped.
        self._pool = pool
        self._connection: Any = None
        self._unread = 0

    def publish(self, topic: str, payload: str) -> None:
        """Send it, and do not wait."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
            self._unread = 0
        try:
            if self._unread >= READ_EVERY:
                self._read_answers()
            self._connection.send_command("PUBLISH", topic, payload, check_health=False)
        except BaseException:
            self.close()
            raise
        self._unread += 1

    def close(self) -> None:
        """Let go of the connection; quiet the second time."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.disconnect()
                self._pool.release(connection)

    def _read_answers(self) -> None:
        while self._unread and self._connection.can_read(timeout=0):
            self._connection.read_response()
            self._unread -= 1
