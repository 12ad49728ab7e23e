"""Batches: one operation over many resources, and how far it is with each of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now


class BatchOperation(StrEnum):
    """What is done to each resource; `app.services.batch_operations` says how."""

    RE_EMBED = "re_embed"
    RESCORE = "rescore"
    RECLASSIFY = "reclassify"
    REINDEX = "reindex"
    DELETE = "delete"


class BatchState(StrEnum):
    """`freezing → running → completed`, or `cancelled` before. Freezing: its items are still being written down."""

    FREEZING = "freezing"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


OPEN_BATCHES = (BatchState.FREEZING, BatchState.RUNNING)
ENDED_BATCHES = (BatchState.COMPLETED, BatchState.CANCELLED)


class ItemState(StrEnum):
    """`waiting → working → done | failed`. Working: what it asked for is on its way.

    What waits when its batch is cancelled waits for ever: it is shown as cancelled, and no row is rewritten for that.
    """

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


class Batch(Base):
    """`total` items are frozen; `frozen_after` is the last resource among them, where the next slice goes on.

    `wanted`: the filter it was asked for with; None: by ids, and all are frozen from the start.
    """

    __tablename__ = "batches"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    operation: Mapped[BatchOperation] = mapped_column(String(16))
    wanted: Mapped[dict[str, Any] | None]
    state: Mapped[BatchState] = mapped_column(String(16), default=BatchState.FREEZING)
    total: Mapped[int] = mapped_column(default=0)
    frozen_after: Mapped[UUID | None]
    asked_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_batches_open",
            "state",
            postgresql_where=text("state IN ('freezing', 'running')"),
            sqlite_where=text("state IN ('freezing', 'running')"),
        ),
        Index("ix_batches_finished_at", "finished_at"),
    )


class BatchItem(Base):
    """One resource of a batch, at its place. Chunk n holds the places from n * CHUNK on.

    `version`: of the resource when the batch was asked for, 0 if it was changed before it was written down; of its
    input once it is working. A resource that is gone, or never was, has a row all the same: it fails with this reason.
    """

    __tablename__ = "batch_items"

    batch_id: Mapped[UUID] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    resource_id: Mapped[UUID]
    version: Mapped[int | None]
    state: Mapped[ItemState] = mapped_column(String(16), default=ItemState.WAITING)
    error: Mapped[dict[str, Any] | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("batch_id", "resource_id"),
        Index("ix_batch_items_state", "batch_id", "state", "place"),
    )
