"""Celery over a transport that does nothing: its own ceiling.

Messages are made in memory, as many as `BENCH_CALLS` says, and acknowledging is removing from a dict.
Each poll is one `PING` of Redis, so that the event loop has something to wake it. Events of tasks are told as stock
does, by a `PUBLISH` that waits for its answer; ours does not wait for it, and so can be above this.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["redis"] = "bench.apps.nothing:Transport"

from bench.apps.celery_stock import app  # noqa: E402  # after the alias: a Celery app looks its transport up early

__all__ = ["app"]
