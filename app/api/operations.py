"""How the house is: pool, broker, cache, workers. Nothing here waits for a broker or a cache."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.access import Reads
from app.api.context import Context, TheLibrary
from app.api.health import broker_part
from app.models.base import now
from app.models.outbox import CallState, ProcessHeartbeat, TaskCall, in_state
from app.schemas.operations import (
    ActiveBrokerStatus,
    BrokerStatus,
    CacheStatistics,
    PoolStatus,
    QueueStatus,
    WorkersStatus,
)
from app.services import active_broker
from app.services.presence import MISSED_AFTER_SECONDS
from app.transports.base import QUEUES

router = APIRouter(tags=["operations"], dependencies=[Reads])

SCHEDULED_SHOWN_MAX = 100


@router.get("/db/pool", response_model=PoolStatus, operation_id="read_pool", summary="Database connections")
def read_pool(library: TheLibrary) -> Any:
    """Of the process that answers."""
    return library.database.pool_status()


@router.get("/cache/stats", operation_id="read_cache_stats", summary="Hits and misses of the cache")
def read_cache_stats(library: TheLibrary) -> CacheStatistics:
    """Of all processes; while the cache is away, the last figures known here."""
    counts = library.cache.stats.snapshot()
    return CacheStatistics(
        hit_rate=counts.hit_rate, hits=counts.hits, misses=counts.misses, invalidations=counts.invalidations
    )


@router.get("/broker/status", operation_id="read_broker_status", summary="Queues of the broker")
def read_broker_status(context: Context) -> BrokerStatus:
    """Sampled in the background; the age of the oldest call is read from its row."""
    sample = context.signs.broker.latest()
    part = broker_part(sample)
    depths = sample.value.depths if sample and sample.value and part.ok else {}
    with context.library.database.reader() as session:
        oldest = _oldest_sent(session)
        active = active_broker.active(session)
    queues = {}
    for queue in QUEUES:
        depth = depths.get(queue)
        queues[queue] = QueueStatus(
            ready=depth.ready if depth else None,
            unacked=depth.unacked if depth else None,
            dead=depth.dead if depth else None,
            oldest_seconds=_age_seconds(oldest.get(queue)),
        )
    return BrokerStatus(
        transport=context.transport_name,
        fingerprint=context.broker_fingerprint,
        active=ActiveBrokerStatus(fingerprint=active.fingerprint, epoch=active.epoch, activated_at=active.activated_at),
        ok=part.ok,
        detail=part.detail,
        sampled_at=sample.taken_at if sample else None,
        queues=queues,
    )


@router.get("/workers/status", operation_id="read_workers_status", summary="Workers and what they do")
def read_workers_status(library: TheLibrary) -> WorkersStatus:
    """Read from their heartbeats and the rows of their calls; nobody is asked. Names as workers give them."""
    alive = ProcessHeartbeat.seen_at >= now() - timedelta(seconds=MISSED_AFTER_SECONDS)
    workers = select(ProcessHeartbeat).where(ProcessHeartbeat.role == "worker", alive)
    with library.database.reader() as session:
        stats = {row.name: _stats_of(row) for row in session.scalars(workers)}
        active: dict[str, list[dict[str, Any]]] = {name: [] for name in stats}
        for call in session.scalars(select(TaskCall).where(in_state(CallState.RUNNING))):
            active.setdefault(_worker_of(call, stats), []).append(_call_of(call))
        next_calls = select(TaskCall).where(in_state(CallState.WAITING)).order_by(TaskCall.due_at)
        waiting = [_call_of(call) for call in session.scalars(next_calls.limit(SCHEDULED_SHOWN_MAX))]
    return WorkersStatus(active=active, scheduled={"outbox": waiting}, stats=stats)


def _oldest_sent(session: Session) -> dict[str, datetime]:
    sent = select(TaskCall.queue, func.min(TaskCall.sent_at)).where(in_state(CallState.SENT)).group_by(TaskCall.queue)
    return {queue: moment for queue, moment in session.execute(sent) if moment is not None}


def _age_seconds(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (now() - moment).total_seconds())


def _stats_of(row: ProcessHeartbeat) -> dict[str, Any]:
    return {
        **row.details,
        "pid": row.pid,
        "host": row.host,
        "queues": row.queues,
        "started_at": row.started_at.isoformat(),
        "seen_at": row.seen_at.isoformat(),
    }


def _worker_of(call: TaskCall, stats: dict[str, dict[str, Any]]) -> str:
    """An owner is `host:pid of the child:id`, which names the host, not the worker: the first there that serves it."""
    host = (call.owner or "unknown").split(":")[0]
    return next((name for name, one in stats.items() if one["host"] == host and call.queue in one["queues"]), host)


def _call_of(call: TaskCall) -> dict[str, Any]:
    return {
        "id": str(call.id),
        "name": call.task,
        "args": call.args,
        "queue": call.queue,
        "priority": call.priority,
        "resource_id": str(call.subject) if call.subject else None,
        "attempt": call.attempts + 1,
        "due_at": call.due_at.isoformat(),
        "started_at": call.started_at.isoformat() if call.started_at else None,
    }
