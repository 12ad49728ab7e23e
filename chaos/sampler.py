"""How backlog and freshness went over time, looked at twice a second past every proxy."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg2

from chaos.tables import Tables

EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Seconds since the beginning, open calls, stale derived data."""

    seconds: float
    open_calls: int
    stale: int


class Sampler:
    """A thread with a connection of its own. Inside the `with` it looks."""

    def __init__(self, database_url: str) -> None:
        self.samples: list[Sample] = []
        self.marks: list[tuple[float, str]] = []
        self._url = database_url
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_until_stopped, name="sampler", daemon=True)

    def mark(self, what: str) -> None:
        """Something happens now."""
        self.marks.append((round(time.monotonic() - self._began, 2), what))

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look_until_stopped(self) -> None:
        with closing(Tables(self._url)) as tables:
            while not self._stop.wait(EVERY_SECONDS):
                try:
                    seen = tables.open_calls(), len(tables.stale())
                except psycopg2.Error:  # the database itself is what is broken
                    continue
                seconds = round(time.monotonic() - self._began, 2)
                self.samples.append(Sample(seconds=seconds, open_calls=seen[0], stale=seen[1]))
