"""Presence: relays, workers and beats say that they are alive, in a row of their own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.database import Database
from app.errors import TransientError
from app.events import counters
from app.models.base import new_id, now
from app.models.outbox import ProcessHeartbeat
from app.transports.tally import tally

INTERVAL_SECONDS = 3.0
MISSED_AFTER_SECONDS = 15.0

log = structlog.get_logger(__name__)


class Heart:
    """A thread that writes one row every few seconds, and removes it at the end.

    With it goes what the transports of this process have counted.
    """

    def __init__(
        self,
        database: Database,
        *,
        role: str,
        broker: str,
        queues: Sequence[str] = (),
        details: Callable[[], dict[str, Any]] = dict,
        works: Callable[[], bool] = lambda: True,
        alive_file: Path | None = None,
    ) -> None:
        self.name = f"{role}@{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
        self._database = database
        self._fixed = {"role": role, "broker": broker, "queues": list(queues)}
        self._details = details
        self._works = works
        self._alive_file = alive_file
        self._started_at = now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_stopped, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat; the first row is written at once."""
        self._thread.start()

    def stop(self) -> None:
        """Remove the row, so that nobody counts on this process."""
        self._stop.set()
        self._thread.join(INTERVAL_SECONDS)
        self._safely(self._remove)

    def _beat_until_stopped(self) -> None:
        self._safely(self._beat)
        while not self._stop.wait(INTERVAL_SECONDS):
            self._safely(self._beat)

    def _safely(self, write: Callable[[], None]) -> None:
        try:
            write()
        except TransientError as error:
            log.warning("heartbeat not written", error=error.detail)
        except Exception:
            log.exception("heartbeat not written")

    def _beat(self) -> None:
        if not self._works():
            log.warning("no heartbeat: this process stands still", name=self.name)
            return
        row = ProcessHeartbeat(
            name=self.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            details=self._details(),
            started_at=self._started_at,
            seen_at=now(),
            **self._fixed,
        )
        with self._writing() as session:
            session.merge(row)
        sign_of_life(self._alive_file)

    def _remove(self) -> None:
        with self._writing() as session:
            session.execute(delete(ProcessHeartbeat).where(ProcessHeartbeat.name == self.name))

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        counts = tally.take()
        try:
            with self._database.writer() as session:
                for name, more in sorted(counts.items()):
                    counters.count(session, name, more)
                yield session
        except BaseException:
            tally.put_back(counts)
            raise


def sign_of_life(file: Path | None) -> None:
    """Tell a health check, by the time of this file, that the process has just done what it is there for."""
    if file is not None:
        file.touch()
