"""A delivery: one message of a call, as it comes to own its call or not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from app.database import Database
from app.events import execution
from app.events.execution import StartedCall
from app.models.base import new_id, now
from app.polling import wait_until
from app.tasks.patience import patiently

PUT_OFF = timedelta(seconds=5)
RENEWAL_SLACK_SECONDS = 2.0

T = TypeVar("T")


class Delivery:
    """Each step is one committed UPDATE, and waits in place while the database is away."""

    def __init__(
        self, database: Database, call_id: UUID, *, generation: int, lease: timedelta, max_deliveries: int
    ) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
        self._database = database
        self._call: dict[str, Any] = {"call_id": call_id, "generation": generation, "owner": self.owner}
        self._lease = lease
        self._starts_before_last = max_deliveries - 1

    def runs_elsewhere(self) -> bool:
        """Whether a call that is near its limit is seen to run under another owner, who renews its lease meanwhile.

        Then this copy came of a lost connection and not of a death: started for that again and again, an innocent
        call would be taken for poison. Waits for a renewal, up to a third of a lease and a little.
        """
        first = latest = self._lease_of_another()

        def is_settled() -> bool:
            nonlocal latest
            latest = self._lease_of_another()
            return latest != first

        if first is not None:
            within_seconds = self._lease.total_seconds() / 3 + RENEWAL_SLACK_SECONDS
            wait_until(is_settled, within_seconds=within_seconds, every_seconds=0.25)
        return latest is not None and latest != first

    def start(self) -> StartedCall | None:
        """None when this copy is stale, or the call is on its last start: see `reserve`. (A first is never a last.)"""
        return self._own(execution.start, spared_starts=self._starts_before_last or None)

    def reserve(self) -> bool:
        """Own a call that is on its last start, without counting it yet; False when this copy is stale."""
        return self._own(execution.reserve, starts=self._starts_before_last)

    def start_reserved(self) -> StartedCall | None:
        """None when the call has been lost meanwhile."""
        return self._own(execution.start_reserved)

    def put_off(self) -> datetime:
        """Let a call that was not started wait again; returns until when."""
        due_at = now() + PUT_OFF

        def wait() -> None:
            with self._database.writer() as session:
                execution.put_off(session, **self._call, due_at=due_at)

        patiently(wait)
        return due_at

    def _lease_of_another(self) -> datetime | None:
        def look() -> datetime | None:
            with self._database.glance() as session:
                return execution.lease_of_another(session, **self._call, starts_at_least=self._starts_before_last)

        return patiently(look)

    def _own(self, step: Callable[..., T], **options: Any) -> T:
        def own() -> T:
            with self._database.writer() as session:
                return step(session, **self._call, lease=self._lease, moment=now(), **options)

        return patiently(own)
