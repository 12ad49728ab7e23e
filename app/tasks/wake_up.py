"""What wakes a relay: a commit that stored calls, or the time it asked for, whichever comes first."""

from __future__ import annotations

import contextlib
import select
import sqlite3
import threading
import time
from typing import Any, Protocol

import structlog
from sqlalchemy import Engine

from app.database import KEEPALIVES
from app.events.outbox import WAKE_UP_CHANNEL

SQLITE_POLL_SECONDS = 0.005
RECONNECT_SECONDS = 1.0
CONNECT_TIMEOUT_SECONDS = 5

log = structlog.get_logger(__name__)


class WakeUp(Protocol):
    """Waits for work."""

    def wait(self, seconds: float) -> None:
        """Return when calls may have been stored, and after `seconds` at the latest."""

    def close(self) -> None:
        """Let go of the connection; quiet the second time."""


def wake_up_of(engine: Engine, stop: threading.Event) -> WakeUp:
    """What this database offers; a `stop` that is set ends every wait within 50 ms."""
    if engine.dialect.name == "postgresql":
        return PostgresNotification(engine, stop)
    return SqliteDataVersion(engine, stop)


class PostgresNotification:
    """`LISTEN` on a connection of its own. While that is lost, waits are plain waits: polling is the truth."""

    def __init__(self, engine: Engine, stop: threading.Event) -> None:
        self._engine = engine
        self._stop = stop
        self._connection: Any = None
        self._retry_at = 0.0

    def wait(self, seconds: float) -> None:
        """See `WakeUp`."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._heard(min(left, 0.05)):
                return

    def close(self) -> None:
        """See `WakeUp`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _heard(self, seconds: float) -> bool:
        try:
            is_new = self._connection is None
            connection = self._listening()
            if connection is None:
                self._stop.wait(seconds)
                return False
            if is_new:  # what was committed before it listened has told nobody
                return True
            readable, _, _ = select.select([connection], [], [], seconds)
            if not readable:
                return False
            connection.poll()
            heard = bool(connection.notifies)
            connection.notifies.clear()
        except Exception as error:  # noqa: BLE001 — whatever the driver says, the relay polls on
            log.warning("wake-ups are lost; the relay polls", error=str(error))
            self.close()
            self._retry_at = time.monotonic() + RECONNECT_SECONDS
            return False
        return heard

    def _listening(self) -> Any:
        if self._connection is None and time.monotonic() >= self._retry_at:
            addressed = self._engine.dialect.create_connect_args(self._engine.url)[1]
            connection: Any = self._engine.dialect.connect(
                **addressed, **KEEPALIVES, connect_timeout=CONNECT_TIMEOUT_SECONDS
            )
            connection.set_session(autocommit=True)
            connection.cursor().execute(f"LISTEN {WAKE_UP_CHANNEL}")
            self._connection = connection
        return self._connection


class SqliteDataVersion:
    """`PRAGMA data_version` changes when another connection commits; reading it costs some microseconds."""

    def __init__(self, engine: Engine, stop: threading.Event) -> None:
        self._path = engine.url.database or ""
        self._stop = stop
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None

    def wait(self, seconds: float) -> None:
        """See `WakeUp`."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            if self._has_changed():
                return
            self._stop.wait(min(left, SQLITE_POLL_SECONDS))

    def close(self) -> None:
        """See `WakeUp`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _has_changed(self) -> bool:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=1)
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error as error:
            log.warning("the database file cannot be watched; the relay polls", error=str(error))
            self.close()
            return False
        changed = bool(version != self._seen)
        self._seen = version
        return changed
