"""Which request, and which event or call before it, the current work belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from asgi_correlation_id.context import correlation_id

from app.models.base import new_id

causation_id: ContextVar[str | None] = ContextVar("causation_id", default=None)


def current_correlation_id() -> str:
    """The id of the request at the root of this work; a new one where nobody asked."""
    return correlation_id.get() or str(new_id())


@contextmanager
def correlated(*, correlation: str, causation: str | None) -> Iterator[None]:
    """Work inside the block carries these ids on everything it emits."""
    correlation_token, causation_token = correlation_id.set(correlation), causation_id.set(causation)
    try:
        yield
    finally:
        causation_id.reset(causation_token)
        correlation_id.reset(correlation_token)
