"""Rested connections: what has lain in the pool of PostgreSQL is asked whether it still lives, when that is in doubt.

SQLAlchemy's own pre-ping asks each time: one more round trip in every transaction. A server that ends says so, or its
system does, and either lies in the socket; one that vanished without a word is found by asking after some seconds.
"""

from __future__ import annotations

import select
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

TRUSTED_SECONDS = 5.0


def ask_the_rested(engine: Engine) -> None:
    """From now on no connection leaves this pool that is known to be dead: the whole pool is made anew instead."""

    @event.listens_for(engine, "checkin")
    def note_use(_dbapi: object, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask_if_in_doubt(dbapi: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
        used_at: float | None = entry.info.get("used_at")
        if used_at is None:  # it was made for this very use
            return
        if time.monotonic() - used_at < TRUSTED_SECONDS and not _has_something_to_read(dbapi):
            return
        try:
            engine.dialect.do_ping(dbapi)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _has_something_to_read(dbapi: Any) -> bool:
    """An end of file, a last word, or nothing to worry about: who asks will see. Closed is one of these."""
    if dbapi.closed:
        return True
    readable = select.poll()  # `select.select` takes no descriptor above 1023
    readable.register(dbapi.fileno(), select.POLLIN)
    return bool(readable.poll(0))
