"""`/livez` and `/readyz`: answered from the background samples, at once, whatever is dead or silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response

from app.api.context import ApiContext, Context
from app.api.queue_service import UNKNOWN, QueueService, canary_patience_seconds
from app.api.sampler import Sample
from app.api.vital_signs import (
    SILENT_AFTER_SECONDS,
    BrokerSign,
    CacheSign,
    DatabaseSign,
    Presence,
)
from app.api.write_examination import WRITE_SECONDS, WRITE_SILENT_AFTER_SECONDS
from app.models.base import now
from app.schemas.operations import Alive, Part, Parts, Readiness, RelayPart, WorkersPart
from app.transports.base import QUEUES

router = APIRouter(tags=["operations"])

ESSENTIAL = ("database", "migrations")


@router.get("/livez", operation_id="read_liveness", summary="Whether this process answers")
async def read_liveness() -> Alive:
    """Asks nobody else."""
    return Alive()


@router.get(
    "/readyz",
    operation_id="read_readiness",
    summary="Which parts of the house work",
    responses={503: {"model": Readiness, "description": "The database or its migrations are missing"}},
)
def read_readiness(context: Context, response: Response) -> Readiness:
    """503 only for database or migrations: without broker, cache or workers requests are still served."""
    readiness = readiness_of(context)
    response.status_code = 200 if readiness.ready else 503
    response.headers["Cache-Control"] = "no-store"
    return readiness


def readiness_of(context: ApiContext) -> Readiness:
    """What the newest samples say; asks nobody."""
    signs = context.signs
    database, broker = signs.database.latest(), signs.broker.latest()
    unwritten = _unwritten(signs.writes.latest())
    sign = database.value if database and not _complaint(database) else None
    fingerprint = broker.value.fingerprint if broker and broker.value else None
    parts = Parts(
        database=_database_part(database, unwritten=unwritten),
        migrations=_migrations_part(sign),
        broker=broker_part(broker),
        cache=_cache_part(signs.cache.latest()),
        relay=_relay_part(sign, fingerprint, own=context.broker_fingerprint, unwritten=unwritten),
        workers=_workers_part(
            sign,
            fingerprint,
            unwritten=unwritten,
            patience_seconds=canary_patience_seconds(context.library.settings.canary_interval_seconds),
        ),
    )
    found = {name: getattr(parts, name).ok for name in Parts.model_fields}
    return Readiness(ready=all(found[name] for name in ESSENTIAL), degraded=not all(found.values()), parts=parts)


def broker_part(sample: Sample[BrokerSign] | None) -> Part:
    """What the newest sample says of the broker."""
    part = _plain_part(sample, "answers")
    if part.ok and sample and sample.value and sample.value.complaints:
        return Part(ok=True, detail="; ".join(sample.value.complaints))
    return part


def _complaint(sample: Sample[Any] | None) -> str | None:
    """Why a sample says that its part does not work; None: it works."""
    if sample is None:
        return "not asked yet"
    if sample.age_seconds > SILENT_AFTER_SECONDS:
        return f"silent for {sample.age_seconds:.0f} s"
    return sample.error


def _plain_part(sample: Sample[Any] | None, works: str) -> Part:
    complaint = _complaint(sample)
    return Part(ok=complaint is None, detail=complaint or works)


def _database_part(sample: Sample[DatabaseSign] | None, *, unwritten: str | None) -> Part:
    part = _plain_part(sample, "answers")
    if part.ok and unwritten:
        return Part(ok=False, detail=f"answers, but cannot be written: {unwritten}")
    return part


def _unwritten(sample: Sample[bool] | None) -> str | None:
    """Why nothing can be written; None: it can, or nobody has tried for long enough to know."""
    if sample is None:
        return None
    if sample.age_seconds > WRITE_SILENT_AFTER_SECONDS:
        return f"a write has been waiting for {sample.age_seconds - WRITE_SECONDS:.0f} s"
    return sample.error


def _cache_part(sample: Sample[CacheSign] | None) -> Part:
    part = _plain_part(sample, "answers")
    if part.ok and sample and sample.value and not sample.value.answers:
        return Part(ok=False, detail="does not answer within its deadline; answers are computed without it")
    return part


def _migrations_part(sign: DatabaseSign | None) -> Part:
    if sign is None:
        return Part(ok=False, detail="unknown while the database does not answer")
    current, head = sign.revisions.current, sign.revisions.head
    if sign.revisions.match:
        return Part(ok=True, detail=f"at {head}")
    return Part(ok=False, detail=f"at {current or 'nothing'}, needs {head}: run `alexandria db upgrade`")


def _relay_part(sign: DatabaseSign | None, broker: str | None, *, own: str, unwritten: str | None) -> RelayPart:
    """The relays, and whether the broker of this process is the one that they send to."""
    active = sign.active if sign else None
    names = {"active_broker": active.fingerprint or None, "epoch": active.epoch} if active else {}
    if active and active.epoch and active.fingerprint != own:
        detail = f"the active broker is {active}, that of this process is {own}: relays of the latter wait"
        return RelayPart(ok=False, detail=detail, **names)
    relays = _serving(sign, role="relay", broker=broker)
    if relays:
        return RelayPart(ok=True, detail=f"{len(relays)} alive", **names)
    return RelayPart(ok=False, detail=_nobody(sign, "relay", unwritten=unwritten), **names)


def _workers_part(
    sign: DatabaseSign | None, broker: str | None, *, unwritten: str | None, patience_seconds: float
) -> WorkersPart:
    workers = _serving(sign, role="worker", broker=broker)
    queues = sign.queues if sign else UNKNOWN
    ages = {queue: _seconds_since(moment) if (moment := queues.canaries.get(queue)) else None for queue in QUEUES}
    if not workers:
        return WorkersPart(ok=False, detail=_nobody(sign, "worker", unwritten=unwritten), canary_age_seconds=ages)
    served = {queue for worker in workers for queue in worker.queues}
    idle = [queue for queue in QUEUES if queue not in served]
    late = [queue for queue in queues.canaries if queue in served and not _is_recent(ages[queue], patience_seconds)]
    waits = {queue: _waits_seconds(queue, queues, workers) for queue in late}
    complaints = [f"nobody serves {', '.join(idle)}"] if idle else []
    if not unwritten:  # else nothing could come to an end, whoever serves
        complaints += [
            f"nothing came back through {queue} for {waited:.0f} s"
            for queue, waited in waits.items()
            if not _is_recent(waited, patience_seconds)
        ]
    ended = {queue: _seconds_since(moment) for queue, moment in queues.finished.items()}
    busy = [
        f"{queue} is busy, {queues.open_calls.get(queue, 0)} waiting"
        for queue in late
        if _is_recent(ended.get(queue), patience_seconds)
    ]
    detail = "; ".join(complaints or [f"{len(workers)} alive", *busy])
    return WorkersPart(ok=not complaints, detail=detail, canary_age_seconds=ages)


def _is_recent(age_seconds: float | None, patience_seconds: float) -> bool:
    return age_seconds is not None and age_seconds <= patience_seconds


def _waits_seconds(queue: str, queues: QueueService, workers: Sequence[Presence]) -> float:
    """For how long its workers could have ended a call, and did not."""
    serving_since = min((worker.started_at for worker in workers if queue in worker.queues), default=now())
    ends = (queues.canaries.get(queue), queues.finished.get(queue), serving_since)
    return _seconds_since(max(moment for moment in ends if moment is not None))


def _seconds_since(moment: datetime) -> float:
    return max(0.0, (now() - moment).total_seconds())


def _serving(sign: DatabaseSign | None, *, role: str, broker: str | None) -> list[Presence]:
    """Those alive, on the broker of this process where that is known."""
    present = sign.present if sign else ()
    return [one for one in present if one.role == role and (broker is None or one.broker == broker)]


def _nobody(sign: DatabaseSign | None, role: str, *, unwritten: str | None) -> str:
    if sign is None:
        return "unknown while the database does not answer"
    if unwritten:
        return "unknown while the database cannot be written"
    elsewhere = [one for one in sign.present if one.role == role]
    return f"every {role} alive is on another broker" if elsewhere else f"no {role} is alive"
