"""Celery's consumer where messages outlive connections."""

from __future__ import annotations

import time
from typing import Any

from app.errors import TransportRejected
from app.transports.consumer import PatientConsumer
from app.transports.lease.holding import holdings


class LeaseConsumer(PatientConsumer):
    """Drops nothing with a connection: the process owns what it has, runs it, and settles it over the next one.

    Takes nothing from a server that will not do: a script without one of its rights stops in the middle.
    """

    def on_broker_refused(self, connection: Any, error: TransportRejected) -> None:
        """To be tried again like a connection that was refused."""
        connection.collect()
        raise ConnectionRefusedError(error.detail)

    def last_trouble_at(self) -> float | None:
        """Now, too, while leases are not renewed: a server that refuses to write (read-only, disk full) still reads."""
        if any(holding.falters for holding in holdings()):
            self.troubled_at = time.monotonic()
        return super().last_trouble_at()

    def on_close(self) -> None:
        """Celery's own forgets reserved tasks and flushes the pool, because AMQP's tags die with their channel."""
        end_half_written(self.pool)


def end_half_written(pool: Any) -> None:
    """Write to the end what is half-written to a child of a prefork pool: the hub forgets who was writing.

    Any: Celery's pool has no public word for it.
    """
    processes = getattr(pool, "_pool", None)
    writers = getattr(processes, "_active_writers", ())
    for job in tuple(getattr(processes, "_cache", {}).values()):
        writer = getattr(job, "_writer", lambda: None)()
        if processes is not None and writer in writers:
            processes._flush_writer(job._write_to, writer)  # noqa: SLF001
