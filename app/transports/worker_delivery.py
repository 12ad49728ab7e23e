"""How a worker takes messages and gives them back: the Celery settings that are the same on every broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.settings import Settings
from app.transports.base import Priority, QueueSpec


def delivery_config(
    settings: Settings,
    *,
    url: str,
    queues: Sequence[QueueSpec],
    wire_priorities: Sequence[int],
    connect_timeout_seconds: float,
    heartbeat_seconds: int,
) -> dict[str, Any]:
    """Celery settings as plain data; https://docs.celeryq.dev/en/stable/userguide/configuration.html.

    A message is acknowledged after its task, never before; a task that fails for good gives its message to
    the dead letters; one whose process died goes back to its queue. Queues hang on the default exchange
    under their own names, so that declaring them binds nothing.
    """
    return {
        "broker_url": url,
        # Celery lets the variable CELERY_BROKER_URL win over broker_url, but not over these two.
        "broker_read_url": url,
        "broker_write_url": url,
        "broker_connection_timeout": connect_timeout_seconds,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": heartbeat_seconds,
        "task_queues": {queue.name: _queue_options(queue) for queue in queues},
        "task_create_missing_queues": False,
        "task_default_queue": queues[0].name,
        "task_default_exchange": "",
        "task_default_exchange_type": "direct",
        "task_default_routing_key": queues[0].name,
        "task_default_priority": wire_priorities[Priority.MEDIUM],
        "task_default_delivery_mode": 2,
        "task_protocol": 2,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_acks_on_failure": False,
        "task_acks_on_timeout": False,
        "task_reject_on_worker_lost": True,
        "worker_consumer": "app.transports.consumer:PatientConsumer",
        "worker_prefetch_multiplier": settings.worker_prefetch_multiplier,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_time_limit": settings.task_time_limit_seconds,
        "task_soft_time_limit": settings.task_soft_time_limit_seconds,
    }


def _queue_options(queue: QueueSpec) -> dict[str, Any]:
    """What `celery.app.amqp.Queues` and `kombu.Queue.from_dict` take."""
    return {
        "exchange": "",
        "exchange_type": "direct",
        "routing_key": queue.name,
        "queue_durable": True,
        "queue_arguments": dict(queue.arguments),
    }
