"""A worker that embeds and lacks its engine ends before it takes a call, by Celery's own command too."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_init

from app.embedding.embedder import check_engine
from app.errors import SettingsError
from app.settings import get_settings


def end_workers_without_their_engine() -> None:
    """Connect to Celery's signal, which comes once the worker knows its queues; harmless elsewhere."""
    worker_init.connect(_check, weak=False)


def _check(sender: Any, **_: object) -> None:
    if "ml_tasks" not in sender.app.amqp.queues.consume_from:
        return
    try:
        check_engine(get_settings())
    except SettingsError as error:
        # A signal swallows an Exception of its receiver; the interpreter prints what this says, and exits with 1.
        raise SystemExit(f"alexandria: {error}") from None
