"""A worker's presence: its row in the table of heartbeats, from ready to shutdown."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready, worker_shutdown

from app.database import get_database
from app.services.presence import Heart
from app.settings import get_settings
from app.transports.registry import broker_for

_heart: Heart | None = None


def announce_workers() -> None:
    """Connect to Celery's signals; harmless in a process that is no worker."""
    worker_ready.connect(_begin, weak=False)
    worker_shutdown.connect(_end, weak=False)


def _begin(sender: Any, **_: object) -> None:
    global _heart  # noqa: PLW0603 — one worker a process
    queues = sorted(sender.app.amqp.queues.consume_from)
    pool = sender.controller.pool
    details = {"hostname": sender.hostname, "pool": type(pool).__module__, "concurrency": pool.num_processes}
    settings = get_settings()
    _heart = Heart(
        get_database("worker"),
        role="worker",
        broker=broker_for(settings).fingerprint,
        queues=queues,
        details=lambda: details,
        alive_file=settings.alive_file,
    )
    _heart.start()


def _end(**_: object) -> None:
    if _heart is not None:
        _heart.stop()
