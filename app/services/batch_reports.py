"""Batch reports: how far batches are, what failed, and their items page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.base import now
from app.models.batch import ENDED_BATCHES, Batch, BatchItem, BatchState, ItemState
from app.services.batches import counts_of, find
from app.services.library import Library

FAILURES_SHOWN = 20


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


def report(session: Session, batch: Batch, *, failures: int) -> BatchReport:
    """How far it is, and the first `failures` items that failed."""
    failed = select(BatchItem).where(BatchItem.batch_id == batch.id, BatchItem.state == ItemState.FAILED)
    shown = list(session.scalars(failed.order_by(BatchItem.place).limit(failures))) if failures else []
    return BatchReport(batch=batch, progress=_progress(batch, counts_of(session, batch.id)), failures=shown)


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
