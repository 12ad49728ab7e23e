"""Leases: a thread says, for every call that runs in this process, that it still runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from app.database import Database
from app.errors import TransientError
from app.events import execution
from app.models.base import now

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """Renews at a third of the lease, so that two renewals may be lost."""

    def __init__(self, database: Database, *, lease: timedelta) -> None:
        self.lease = lease
        self.pid = os.getpid()
        self._database = database
        self._owners: set[str] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, owner: str) -> Iterator[None]:
        """Renew the lease of `owner` for the length of the block."""
        with self._lock:
            self._owners.add(owner)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._owners.discard(owner)

    def _run(self) -> None:
        tick = threading.Event()
        while not tick.wait(self.lease.total_seconds() / 3):
            with self._lock:
                owners = sorted(self._owners)
            if owners:
                self._renew(owners)

    def _renew(self, owners: list[str]) -> None:
        try:
            with self._database.writer() as session:
                execution.renew(session, owners, until=now() + self.lease)
        except TransientError as error:
            log.warning("leases could not be renewed", error=error.detail)
        except Exception:
            log.exception("leases could not be renewed")
