"""Batches: asked for, cancelled and completed. The work itself is `batch_chunks` and `batch_tending`.

Order of locks, here and there: the batch, its items, the texts and rows of a resource, calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.errors import BatchEnded, NotFound
from app.events.event_types import EventType
from app.models.base import new_id, now
from app.models.batch import Batch, BatchItem, BatchOperation, BatchState, ItemState
from app.models.resource import IngestionState, Resource
from app.services.batch_calls import CHUNK, enqueue_chunks, tending_call
from app.services.resource_pages import ResourceFilter
from app.services.unit_of_work import UnitOfWork


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


def _unknown(batch_id: UUID) -> NotFound:
    return NotFound(f"there is no batch {batch_id}")
