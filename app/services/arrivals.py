"""Arrivals: the newest documents, and how far each is on its way in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.outbox import CallState, TaskCall, in_state
from app.models.resource import IngestionState, Resource
from app.services import resource_pages
from app.services.library import Library
from app.services.resource_pages import ResourceFilter
from app.tasks.task_names import TaskName

SETTLED = frozenset({IngestionState.COMPLETED, IngestionState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One document. `error` has `type` and `detail` when its state is failed."""

    id: UUID
    title: str
    source: str | None
    format: str | None
    language: str | None
    created_at: datetime
    state: IngestionState
    error: dict[str, Any] | None

    @property
    def settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivalPage:
    """Newest first; `total` counts all pages."""

    items: Sequence[Arrival]
    total: int
    next_cursor: str | None

    @property
    def settled(self) -> bool:
        """Whether nothing more happens to any of them by itself."""
        return all(item.settled for item in self.items)


def newest(library: Library, *, limit: int, cursor: str | None = None, only_failed: bool = False) -> ArrivalPage:
    """One page of the newest documents; `InvalidInput` for a cursor of another list."""
    wanted = ResourceFilter(ingestion_status=IngestionState.FAILED if only_failed else None)
    page = resource_pages.list_page(library, limit=limit, cursor=cursor, sort="-created_at", wanted=wanted)
    with library.database.reader() as session:
        reading = _being_read(session, [item["id"] for item in page.items])
    items = [_arrival(item, reading) for item in page.items]
    return ArrivalPage(items=items, total=page.total, next_cursor=page.next_cursor)


def named(library: Library, ids: Sequence[UUID]) -> list[Arrival]:
    """Those of these documents that are there, in the order of `ids`."""
    columns = (Resource.id, Resource.title, Resource.source, Resource.format, Resource.language, Resource.created_at)
    states = (Resource.ingestion_status, Resource.ingestion_error)
    chosen = select(*columns, *states).where(Resource.id.in_(ids), Resource.deleted_at.is_(None))
    with library.database.reader() as session:
        found = {row.id: dict(row._mapping) for row in session.execute(chosen)}  # noqa: SLF001 — public in SQLAlchemy
        reading = _being_read(session, list(found))
    return [_arrival(found[one], reading) for one in dict.fromkeys(ids) if one in found]


def _arrival(item: dict[str, Any], reading: set[UUID]) -> Arrival:
    names = ("id", "title", "source", "format", "language", "created_at")
    return Arrival(
        **{name: item[name] for name in names},
        state=IngestionState.RUNNING if item["id"] in reading else IngestionState(item["ingestion_status"]),
        error=item["ingestion_error"],
    )


def _being_read(session: Session, ids: Sequence[UUID]) -> set[UUID]:
    running = select(TaskCall.subject).where(
        TaskCall.subject.in_(ids), TaskCall.task == TaskName.INGEST_RESOURCE, in_state(CallState.RUNNING)
    )
    return {subject for subject in session.scalars(running) if subject is not None}
