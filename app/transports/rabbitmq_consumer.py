"""Celery's consumer where a broken connection gives back what runs on: a running task takes its message over.

RabbitMQ gives what was not acknowledged to anybody again when a connection breaks; the tasks run on. Started a second
time, one task would take two slots, count two starts towards its delivery limit, and waste one of the two results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker import state

from app.transports.consumer import PatientConsumer

Handler = Callable[..., Any]

log = structlog.get_logger(__name__)


class RabbitConsumer(PatientConsumer):
    """Starts nothing that runs in this worker already."""

    strategies: dict[str, Handler]

    def update_strategies(self) -> None:
        """Called at each connection, before the first message."""
        super().update_strategies()
        for name, handle in self.strategies.items():
            self.strategies[name] = taken_over_by_running_tasks(handle)


def taken_over_by_running_tasks(handle: Handler) -> Handler:
    """A handler of received messages (Celery's strategy of a task) that starts nothing that runs here already."""

    def on_message(message: Any, *arguments: Any, **options: Any) -> Any:
        running = _running(message)
        if running is None:
            return handle(message, *arguments, **options)
        # What ends the task acknowledges its message through these two.
        running.message.channel = message.channel
        running.message.delivery_tag = message.delivery_tag
        log.info("delivered again while it runs", task=running.name, call_id=running.id)
        return None

    return on_message


def _running(message: Any) -> Any:
    """The request of the same sending that runs in this worker; None for a first delivery.

    Known gap: Celery forgets, when the connection breaks, a request that its process has taken and not yet said so.
    """
    if not (message.delivery_info or {}).get("redelivered"):
        return None
    request = state.requests.get(message.headers.get("id"))
    if request is None or request not in state.active_requests or request.acknowledged:
        return None
    same = request.message.headers.get("generation") == message.headers.get("generation")
    return request if same else None
