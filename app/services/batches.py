"""Batches: asked for, read, listed and cancelled. The work itself is `app.services.batch_work`.

Order of locks, here and there: the batch, its items, the texts and rows of a resource, calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.errors import BatchEnded, NotFound
from app.events.event_types import EventType
from app.events.hooks import PlannedCall
from app.models.base import new_id, now
from app.models.batch import ENDED_BATCHES, Batch, BatchItem, BatchOperation, BatchState, ItemState
from app.models.resource import IngestionState, Resource
from app.services.library import Library
from app.services.resource_pages import ResourceFilter
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from app.transports.base import Priority

CHUNK = 50
"""Items of one call: some seconds of work, so that interactive work is never far behind it."""
IDS_MAX = 1000
FAILURES_SHOWN = 20
QUEUE = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Items by their state, and the pace: items a second since the first one began, seconds to go at that pace."""

    waiting: int
    working: int
    done: int
    failed: int
    cancelled: int
    items_per_second: float | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """A batch and how far it is; `failures`: the first items that failed, and why."""

    batch: Batch
    progress: Progress
    failures: list[BatchItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """Batches, the newest first, and the id after which the next page begins."""

    items: list[BatchReport]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """Items in their order, and the place after which the next page begins."""

    items: list[BatchItem]
    next_cursor: int | None


def create(
    unit: UnitOfWork, operation: BatchOperation, *, ids: Sequence[UUID] | None, wanted: ResourceFilter | None, by: str
) -> Batch:
    """A batch over these ids, or over what passes the filter now; exactly one of them is given.

    Ids are frozen at once, a filter by the first call, slice by slice: what is added later is not in it.
    """
    batch = Batch(id=new_id(), operation=operation, asked_by=by[:128], created_at=now(), total=0)
    batch.state = BatchState.FREEZING if ids is None else BatchState.RUNNING
    batch.wanted = None if wanted is None else _stored(wanted)
    unit.session.add(batch)
    unit.session.flush()
    if ids is not None:
        _freeze_ids(unit, batch, sorted(set(ids)))
    unit.emit(EventType.BATCH_CREATED, _event_data(batch))
    unit.enqueue(tending_call(batch.id, delay=timedelta(0)))
    return batch


def read(library: Library, batch_id: UUID) -> BatchReport:
    """Raises `NotFound`."""
    with library.database.reader() as session:
        return report(session, find(session, batch_id), failures=FAILURES_SHOWN)


def list_page(library: Library, *, limit: int, cursor: UUID | None) -> BatchPage:
    """`limit` batches older than `cursor`, the newest first, without their failures."""
    listed = select(Batch).order_by(Batch.id.desc()).limit(limit + 1)
    if cursor is not None:
        listed = listed.where(Batch.id < cursor)
    with library.database.reader() as session:
        rows = list(session.scalars(listed))
        items = [report(session, batch, failures=0) for batch in rows[:limit]]
    return BatchPage(items=items, next_cursor=rows[limit - 1].id if len(rows) > limit else None)


def list_items(
    library: Library, batch_id: UUID, *, state: ItemState | None, limit: int, cursor: int | None
) -> ItemPage:
    """`limit` items after the place `cursor`. Raises `NotFound`."""
    listed = select(BatchItem).where(BatchItem.batch_id == batch_id).order_by(BatchItem.place).limit(limit + 1)
    if state is not None:
        listed = listed.where(BatchItem.state == state)
    if cursor is not None:
        listed = listed.where(BatchItem.place > cursor)
    with library.database.reader() as session:
        find(session, batch_id)
        rows = list(session.scalars(listed))
    return ItemPage(items=rows[:limit], next_cursor=rows[limit - 1].place if len(rows) > limit else None)


def cancel(unit: UnitOfWork, batch_id: UUID) -> Batch:
    """No item is begun after this commit; what was begun before it comes to its end. The second time nothing changes.

    Raises `NotFound`, and `BatchEnded` when it is completed.
    """
    batch = lock(unit.session, batch_id)
    if batch is None:
        raise _unknown(batch_id)
    if batch.state == BatchState.COMPLETED:
        raise BatchEnded("this batch is completed: there is nothing left to cancel")
    if batch.state != BatchState.CANCELLED:
        batch.state, batch.finished_at = BatchState.CANCELLED, now()
        unit.emit(EventType.BATCH_CANCELLED, _event_data(batch))
        unit.enqueue(tending_call(batch_id, delay=timedelta(0)))
    return batch


def complete(unit: UnitOfWork, batch: Batch) -> None:
    """Every item has come to its end. The caller holds the batch."""
    batch.state, batch.finished_at = BatchState.COMPLETED, now()
    counts = counts_of(unit.session, batch.id)
    ends = {state.value: counts.get(state, 0) for state in (ItemState.DONE, ItemState.FAILED)}
    unit.emit(EventType.BATCH_COMPLETED, _event_data(batch) | ends)


def report(session: Session, batch: Batch, *, failures: int) -> BatchReport:
    """How far it is, and the first `failures` items that failed."""
    failed = select(BatchItem).where(BatchItem.batch_id == batch.id, BatchItem.state == ItemState.FAILED)
    shown = list(session.scalars(failed.order_by(BatchItem.place).limit(failures))) if failures else []
    return BatchReport(batch=batch, progress=_progress(batch, counts_of(session, batch.id)), failures=shown)


def find(session: Session, batch_id: UUID) -> Batch:
    """Raises `NotFound`."""
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise _unknown(batch_id)
    return batch


def lock(session: Session, batch_id: UUID, *, shared: bool = False) -> Batch | None:
    """The batch until the commit, as it is now. Shared: whoever would change it waits, others that share do not."""
    held = select(Batch).where(Batch.id == batch_id).with_for_update(read=shared)
    return session.scalars(held.execution_options(populate_existing=True)).one_or_none()


def counts_of(session: Session, batch_id: UUID) -> dict[str, int]:
    """Items by their state."""
    counted = select(BatchItem.state, func.count()).where(BatchItem.batch_id == batch_id).group_by(BatchItem.state)
    return dict(session.execute(counted).all())


def filter_of(batch: Batch) -> ResourceFilter:
    """What it was asked for with."""
    stored = dict(batch.wanted or {})
    if "ingestion_status" in stored:
        stored["ingestion_status"] = IngestionState(stored["ingestion_status"])
    return ResourceFilter(**stored)


def tending_call(batch_id: UUID, *, delay: timedelta) -> PlannedCall:
    """Freezes, settles and ends the batch; one of them waits at a time."""
    return _call(batch_id, None, key=tending_key(batch_id), delay=delay)


def tending_key(batch_id: UUID) -> str:
    """By which the waiting one is found."""
    return f"{TaskName.BATCH_PROCESS}:{batch_id}"


def enqueue_chunks(unit: UnitOfWork, batch_id: UUID, *, first: int, end: int) -> None:
    """The calls of the chunks from `first` up to, not including, `end`; those stored before are not stored again."""
    for number in range(first, end):
        call = _call(batch_id, number, key=None, delay=timedelta(0))
        unit.enqueue_once(call, call_id=chunk_call_id(batch_id, number))


def chunk_call_id(batch_id: UUID, number: int) -> UUID:
    """The same whoever fans out, and however often (RFC 9562, version 5)."""
    return uuid5(batch_id, f"chunk {number}")


def _call(batch_id: UUID, number: int | None, *, key: str | None, delay: timedelta) -> PlannedCall:
    return PlannedCall(
        task=TaskName.BATCH_PROCESS,
        args=[str(batch_id), number],
        queue=QUEUE,
        priority=Priority.LOW,
        delay=delay,
        coalesce_key=key,
    )


def _freeze_ids(unit: UnitOfWork, batch: Batch, ids: Sequence[UUID]) -> None:
    live = select(Resource.id, Resource.version).where(Resource.id.in_(ids), Resource.deleted_at.is_(None))
    versions = {row.id: row.version for row in unit.session.execute(live)}
    rows = [
        {"batch_id": batch.id, "place": place, "resource_id": one, "version": versions.get(one), "state": "waiting"}
        for place, one in enumerate(ids)
    ]
    unit.session.execute(insert(BatchItem), rows)
    batch.total = len(rows)
    enqueue_chunks(unit, batch.id, first=0, end=-(-batch.total // CHUNK))


def _stored(wanted: ResourceFilter) -> dict[str, Any]:
    values = {field.name: getattr(wanted, field.name) for field in fields(ResourceFilter)}
    return {name: str(value) for name, value in values.items() if value is not None}


def _event_data(batch: Batch) -> dict[str, Any]:
    return {"batch_id": str(batch.id), "operation": str(batch.operation), "total": batch.total}


def _progress(batch: Batch, counts: dict[str, int]) -> Progress:
    waiting, working, done, failed = (counts.get(state, 0) for state in ItemState)
    is_cancelled = batch.state == BatchState.CANCELLED
    pace = _items_per_second(batch, done + failed)
    left = working if is_cancelled else waiting + working
    has_ended = batch.state in ENDED_BATCHES
    return Progress(
        waiting=0 if is_cancelled else waiting,
        working=working,
        done=done,
        failed=failed,
        cancelled=waiting if is_cancelled else 0,
        items_per_second=pace,
        eta_seconds=left / pace if pace and not has_ended and batch.state != BatchState.FREEZING else None,
    )


def _items_per_second(batch: Batch, ended: int) -> float | None:
    if batch.started_at is None or not ended:
        return None
    until: datetime = batch.finished_at or now()
    return ended / max((until - batch.started_at).total_seconds(), 0.001)


def _unknown(batch_id: UUID) -> NotFound:
    return NotFound(f"there is no batch {batch_id}")
