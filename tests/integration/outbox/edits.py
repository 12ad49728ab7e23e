"""What an edit leaves in the outbox."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from app.events.event_types import EventType
from app.events.execution import StartedCall
from app.services.unit_of_work import UnitOfWork


class Begin(Protocol):
    def __call__(self, call: StartedCall | None = None) -> AbstractContextManager[UnitOfWork]: ...


def edit(begin: Begin, resource_id: UUID, *, version: int) -> None:
    """What an edit of the content leaves in the outbox."""
    data = {"resource_id": str(resource_id), "version": version, "content_version": version}
    with begin() as unit:
        unit.emit(EventType.RESOURCE_UPDATED, data)
        unit.emit(EventType.RESOURCE_CONTENT_CHANGED, data)
