"""WriteExamination: whether the database can be written, found out by writing this process's heartbeat."""

from __future__ import annotations

import os
import socket

from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from app.database import Database
from app.errors import DatabaseUnavailable
from app.models.base import now
from app.models.outbox import ProcessHeartbeat

WRITE_SECONDS = 3.0
# A write may wait for others. Longer than this, and requests that write are refused or hang.
WRITE_SILENT_AFTER_SECONDS = 12.0


class WriteExamination:
    """Reading tells nothing of a full disk, a locked file or a server that has become read-only."""

    def __init__(self, database: Database, *, broker: str) -> None:
        self._database = database
        self._broker = broker
        self._started_at = now()

    def __call__(self) -> bool:
        """One sample: False when there is no table yet that could be written. Raises `DatabaseUnavailable`."""
        with self._database.reader() as session:
            if not inspect(session.connection()).has_table(ProcessHeartbeat.__tablename__):
                return False
        try:
            with self._database.writer() as session:
                session.merge(self._heartbeat())
        except DatabaseUnavailable as error:
            cause = error.__cause__
            raise DatabaseUnavailable(str(cause.orig) if isinstance(cause, DBAPIError) else error.detail) from error
        return True

    def _heartbeat(self) -> ProcessHeartbeat:
        host = socket.gethostname()
        return ProcessHeartbeat(
            name=f"api@{host}:{os.getpid()}",
            role="api",
            pid=os.getpid(),
            host=host,
            broker=self._broker,
            queues=[],
            details={},
            started_at=self._started_at,
            seen_at=now(),
        )
