"""Logs: one line an event, JSON or for people, with the ids of the work it belongs to.

Everything that logs through the standard library (Celery, Uvicorn, Alembic) comes out the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from asgi_correlation_id.context import correlation_id
from structlog.typing import Processor

from app.settings import Settings

# These tell of every request and every message: too much for people, and said better by our own lines.
_CHATTY = (
    *("uvicorn.access", "httpx2", "httpcore2", "kombu", "amqp", "pika", "asyncio", "alembic.runtime.plugins"),
    *("celery.worker.strategy", "celery.app.trace", "celery.beat"),
)


def configure(settings: Settings, *, role: str) -> None:
    """Set up the logs of this process; `role` is on every line of it (api, relay, worker, …)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _Role(role),
        _add_correlation_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()] if settings.log_format == "json" else shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings.log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if settings.log_level == "DEBUG" else logging.WARNING)
    logging.captureWarnings(capture=True)


def keep_celery_from_configuring(settings: Settings, *, role: str) -> None:
    """Celery leaves the logs alone when somebody answers its signal: these stay as `configure` made them."""
    from celery.signals import setup_logging  # noqa: PLC0415 — half a second in processes without Celery

    def configure_again(**_: object) -> None:
        configure(settings, role=role)

    setup_logging.connect(configure_again, weak=False)


class _Role:
    def __init__(self, role: str) -> None:
        self.role = role

    def __call__(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line.setdefault("role", self.role)
        return line


def _add_correlation_id(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if current := correlation_id.get():
        line.setdefault("correlation_id", current)
    return line


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    ]
