"""One connection to the server, owned by one thread: a request, an answer."""

from __future__ import annotations

import contextlib
from typing import Any


class Wire:
    """Opens when first asked, and again after `close`. Raises redis-py's errors; a lost connection is closed."""

    def __init__(self, connection: Any) -> None:
        # Any: redis-py leaves the methods of a connection untyped.
        self._connection = connection

    @property
    def is_open(self) -> bool:
        """Whether it has been opened and not lost since."""
        return self._connection._sock is not None  # noqa: SLF001  redis-py has no other way to ask

    def ask(self, *command: str | float) -> Any:
        """Send one command and wait for its answer."""
        self.send(*command)
        return self._connection.read_response()

    def send(self, *command: str | float) -> None:
        """Send one command. (A connection behind Sentinel finds its master in `connect` only.)"""
        if not self.is_open:
            self._connection.connect()
        self._connection.send_command(*command, check_health=False)

    def heard(self) -> bool:
        """Read everything that has come; whether that was anything."""
        anything = False
        while self._connection.can_read(timeout=0):
            self._connection.read_response()
            anything = True
        return anything

    def close(self) -> None:
        """Quiet, also the second time. In a forked child only the child's copy of the socket closes."""
        with contextlib.suppress(Exception):
            self._connection.disconnect()
