"""Undecodable messages: a worker that cannot read one gives it to the dead letters, where Celery would lose it."""

from __future__ import annotations

from typing import Any

import structlog
from celery import bootsteps

log = structlog.get_logger(__name__)


class RejectUndecodable(bootsteps.Step):
    """A step of the worker's consumer. Stock logs what cannot be decoded, acknowledges it, and it is gone."""

    def create(self, consumer: Any) -> None:
        """Take the place of the consumer's own reaction, before anything is consumed."""

        def on_decode_error(message: Any, error: Exception) -> None:
            log.error("undecodable message", content_type=message.content_type, error=str(error))
            message.reject_log_error(log, consumer.connection_errors)

        consumer.on_decode_error = on_decode_error
