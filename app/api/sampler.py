"""Sampler: asks something slow again and again in a thread of its own, so that no request waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Generic, TypeVar

import structlog

from app.errors import AlexandriaError
from app.models.base import now

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Generic[T]):
    """What was found, or why nothing was, and when (`at`: monotonic seconds)."""

    value: T | None
    error: str | None
    taken_at: datetime
    at: float

    @property
    def age_seconds(self) -> float:
        """How old it is."""
        return monotonic() - self.at


class Sampler(Generic[T]):
    """Calls `take` every `interval_seconds`; the answers are read with `latest`, which never waits for `take`."""

    def __init__(self, name: str, take: Callable[[], T], *, interval_seconds: float) -> None:
        self.name = name
        self._take = take
        self._interval_seconds = interval_seconds
        self._latest: Sample[T] | None = None
        self._first = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, name=f"sampler-{name}", daemon=True)

    def start(self) -> None:
        """Begin to sample; the first sample is taken at once."""
        self._thread.start()

    def stop(self, *, patience_seconds: float = 2.0) -> None:
        """Take no more samples; waits for the one under way no longer than `patience_seconds`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience_seconds)

    def latest(self, *, first_within_seconds: float = 1.0) -> Sample[T] | None:
        """The newest sample; only the very first one is waited for, and not for long."""
        if self._latest is None and self._thread.is_alive():
            self._first.wait(first_within_seconds)
        return self._latest

    def _sample_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._latest = self._sample()
            self._first.set()
            self._stop.wait(self._interval_seconds)

    def _sample(self) -> Sample[T]:
        value, error = None, None
        try:
            value = self._take()
        except AlexandriaError as known:
            error = known.detail
        except Exception as unknown:
            log.exception("sample not taken", sampler=self.name)
            error = f"{type(unknown).__name__}: the log tells more"
        return Sample(value=value, error=error, taken_at=now(), at=monotonic())
