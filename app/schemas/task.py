"""Task calls and events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.schemas.resource import ErrorDescription
from app.schemas.shape import Output


class TaskOut(Output):
    """One call of a task. `superseded`: a newer call does its work."""

    id: UUID
    task: str
    args: list[Any]
    queue: str
    priority: int
    state: Literal["waiting", "sent", "running", "done", "dead"]
    superseded: bool
    attempts: int
    error: ErrorDescription | None
    resource_id: UUID | None
    correlation_id: str
    created_at: datetime
    due_at: datetime
    sent_at: datetime | None
    started_at: datetime | None
    done_at: datetime | None


class EventOut(Output):
    """Something that happened."""

    id: UUID
    name: str
    data: dict[str, Any]
    priority: int
    timestamp: datetime
    correlation_id: str
    causation_id: str | None
