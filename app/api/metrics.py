"""Metrics in Prometheus' text format: requests, outbox, dead letters, pool, cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.access import Reads
from app.api.context import metrics_of
from app.api.queue_service import canaries, canary_memory
from app.errors import TransientError
from app.events.recovery import REDISPATCHED
from app.models.base import now
from app.models.derived import Counter
from app.models.outbox import OPEN_STATES, CallState, DeadLetter, TaskCall, in_state
from app.services.library import Library
from app.transports.tally import LEASE_LOST, MESSAGES_RECOVERED

COUNTERS = {
    REDISPATCHED: "Calls sent again because lost",
    LEASE_LOST: "Messages that a live worker lost to others: it was frozen, or cut off (Redis)",
    MESSAGES_RECOVERED: "Messages of dead workers, given back (Redis)",
}

router = APIRouter(tags=["operations"], dependencies=[Reads])
log = structlog.get_logger(__name__)


class HttpMetrics:
    """The registry of one application, and the histogram of its requests."""

    def __init__(self, library: Library) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(LibraryCollector(library))
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request",
            ("method", "handler", "status"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )

    def record(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request. `route` is the template, never the path: ids would be labels without end."""
        known = method if method in {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"} else "other"
        self._seconds.labels(known, route, str(status)).observe(seconds)


class LibraryCollector(Collector):
    """Figures of the library, read when they are asked for."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def describe(self) -> list[Metric]:
        """Nothing: registering must not open a connection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Pool and cache always; the outbox when the database answers."""
        yield from self._pool()
        yield from self._cache()
        try:
            with self._library.database.reader() as session:
                figures = [
                    _open_calls(session),
                    _oldest_due(session),
                    _dead_letters(session),
                    *_counters(session),
                    _canary_ages(session, interval_seconds=self._library.settings.canary_interval_seconds),
                ]
        except TransientError as error:
            log.warning("outbox not measured", detail=error.detail)
            figures = []
        yield GaugeMetricFamily("alexandria_database_up", "Whether the database answers", value=bool(figures))
        yield from figures

    def _pool(self) -> Iterator[Metric]:
        pool = GaugeMetricFamily("alexandria_db_pool_connections", "Connections of this process", labels=["state"])
        for name, value in self._library.database.pool_status().items():
            if name.endswith("_total"):
                yield CounterMetricFamily(f"alexandria_db_pool_{name}", "Since the start of this process", value=value)
            else:
                pool.add_metric([name], value)
        yield pool

    def _cache(self) -> Iterator[Metric]:
        counts = self._library.cache.stats.snapshot()
        for name in ("hits", "misses", "invalidations"):
            value = getattr(counts, name)
            yield CounterMetricFamily(f"alexandria_cache_{name}", "Of all processes", value=value)


def _open_calls(session: Session) -> Metric:
    metric = GaugeMetricFamily("alexandria_outbox_calls", "Open task calls", labels=["queue", "state"])
    counted = (
        select(TaskCall.queue, TaskCall.state, func.count())
        .where(in_state(*OPEN_STATES))
        .group_by(TaskCall.queue, TaskCall.state)
    )
    for queue, state, count in session.execute(counted):
        metric.add_metric([queue, str(state)], count)
    return metric


def _oldest_due(session: Session) -> Metric:
    oldest = session.scalar(
        select(func.min(TaskCall.due_at)).where(in_state(CallState.WAITING), TaskCall.due_at <= now())
    )
    seconds = (now() - oldest).total_seconds() if oldest else 0.0
    return GaugeMetricFamily("alexandria_outbox_oldest_due_seconds", "Age of the oldest due call", value=seconds)


def _dead_letters(session: Session) -> Metric:
    metric = GaugeMetricFamily("alexandria_dead_letters", "Open dead letters", labels=["task"])
    counted = select(DeadLetter.task, func.count()).where(DeadLetter.closed_at.is_(None)).group_by(DeadLetter.task)
    for task, count in session.execute(counted):
        metric.add_metric([task], count)
    return metric


def _counters(session: Session) -> Iterator[Metric]:
    """Of processes that have no port."""
    counted = {row.name: row.value for row in session.scalars(select(Counter).where(Counter.name.in_(COUNTERS)))}
    for name, meaning in COUNTERS.items():
        yield CounterMetricFamily(f"alexandria_{name}", meaning, value=counted.get(name, 0))


def _canary_ages(session: Session, *, interval_seconds: float) -> Metric:
    """Infinite where one was sent and none came back in minutes; no sample where no beat sends any."""
    metric = GaugeMetricFamily(
        "alexandria_canary_age_seconds", "Time since a canary came back through the queue", labels=["queue"]
    )
    moment = now()
    for queue, came_back in canaries(session, since=moment - canary_memory(interval_seconds)).items():
        age = max(0.0, (moment - came_back).total_seconds()) if came_back else math.inf
        metric.add_metric([queue], age)
    return metric


@router.get(
    "/metrics",
    operation_id="read_metrics",
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
)
def read_metrics(metrics: Annotated[HttpMetrics, Depends(metrics_of)]) -> Response:
    """Requests of this process, open calls of all, dead letters, connections, cache reads."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)
