"""How the house is: health, pool, broker, cache, workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.shape import Output


class Alive(Output):
    """The process answers."""

    alive: bool = True


class Part(Output):
    """One part of the house."""

    ok: bool
    detail: str


class RelayPart(Part):
    """The relays, and the broker that is active (null: none yet, or not known)."""

    active_broker: str | None = None
    epoch: int | None = None


class WorkersPart(Part):
    """The workers, and how long ago a canary came back from each queue (null: not lately)."""

    canary_age_seconds: dict[str, float | None]


class Parts(Output):
    """Every part that the house is made of."""

    database: Part
    migrations: Part
    broker: Part
    cache: Part
    relay: RelayPart
    workers: WorkersPart


class Readiness(Output):
    """`ready` needs the database and its migrations only; any other part missing is `degraded`."""

    ready: bool
    degraded: bool
    parts: Parts


class QueueStatus(Output):
    """Messages of one queue at the broker; null: the broker does not tell, or could not be asked."""

    ready: int | None
    unacked: int | None
    dead: int | None
    oldest_seconds: float | None = Field(description="Age of the oldest call that was sent and has not started")


class ActiveBrokerStatus(Output):
    """The broker that carries the calls; `epoch` counts the switches, 0: no relay has ever started."""

    fingerprint: str
    epoch: int
    activated_at: datetime | None


class BrokerStatus(Output):
    """The broker of the process that answers, as it was a moment ago, and the one that is active for all."""

    transport: str
    fingerprint: str
    active: ActiveBrokerStatus
    ok: bool
    detail: str
    sampled_at: datetime | None
    queues: dict[str, QueueStatus]


class CacheStatistics(Output):
    """Counts of all processes; `hit_rate` 0 to 1."""

    hit_rate: float
    hits: int
    misses: int
    invalidations: int


class PoolStatus(Output):
    """Database connections of this process."""

    size: int
    checked_in: int
    checked_out: int
    overflow: int
    total: int
    connects_total: int
    checkouts_total: int
    invalidations_total: int


class WorkersStatus(Output):
    """By name of the worker: calls that run, calls that wait, and what it said of itself."""

    active: dict[str, list[dict[str, Any]]]
    scheduled: dict[str, list[dict[str, Any]]]
    stats: dict[str, dict[str, Any]]
