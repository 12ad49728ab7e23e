"""A worker without a broker: calls of the outbox, claimed and handed to a task as Celery hands it a message."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Retry
from sqlalchemy import select

from app.events.dispatch import ClaimedCall
from app.events.hooks import PlannedCall
from app.models.base import new_id, now
from app.models.derived import DerivedKind
from app.models.outbox import CallState, DeadLetter, EffectRecord, TaskCall
from app.models.resource import Resource
from app.services.library import Library
from app.tasks.database_task import DatabaseTask
from app.tasks.task_names import TaskName
from tests.integration.outbox.claims import claim_due

Body = Callable[..., None]


def task_of(body: Body, **options: Any) -> DatabaseTask:
    """A task whose work is `body`, in a Celery of its own."""
    app = Celery("probe", set_as_current=False)
    task: DatabaseTask = app.task(name="probe", base=DatabaseTask, bind=False, shared=False, **options)(body)
    return task


def deliver(task: DatabaseTask, claimed: ClaimedCall, *, redelivered: bool = False) -> None:
    """Run the message of one claim to its end, which may be a try later; `Reject` if it is dead."""
    told = {"redelivered": redelivered}
    task.push_request(id=str(claimed.id), generation=claimed.generation, delivery_info=told)
    try:
        with suppress(Retry):
            task(*claimed.args)
    finally:
        task.pop_request()


def call_for(
    resource_id: UUID,
    *,
    task: TaskName = TaskName.REGENERATE_EMBEDDING,
    kind: DerivedKind | None = DerivedKind.EMBEDDING,
    args: list[Any] | None = None,
) -> PlannedCall:
    """A call that is due now."""
    return PlannedCall(
        task=task,
        args=[str(resource_id)] if args is None else args,
        queue="default",
        priority=5,
        delay=timedelta(0),
        coalesce_key=f"{task}:{resource_id}",
        subject=resource_id,
        kind=kind,
        subject_version=1,
    )


class Outbox:
    """What stands in the tables of a library."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def resource(self, content: str | None = "Some text about zebras.", **fields: Any) -> UUID:
        """A resource that nothing has reacted to."""
        resource = Resource(**{"id": new_id(), "title": "A paper", "content": content, "content_version": 1, **fields})
        with self.library.database.writer() as session:
            session.add(resource)
        return resource.id

    def store(self, call: PlannedCall) -> UUID:
        with self.library.work() as unit:
            unit.enqueue(call)
            return unit.store()[0].id

    def claim(self, *, queue: str = "default", moment: datetime | None = None) -> ClaimedCall:
        """The one call that is due."""
        with self.library.database.writer() as session:
            [claimed] = claim_due(session, queue=queue, limit=10, moment=moment or now())
        return claimed

    def claimed(self, call: PlannedCall) -> ClaimedCall:
        """Stored and claimed."""
        self.store(call)
        return self.claim()

    def call(self, call_id: UUID) -> TaskCall:
        with self.library.database.reader() as session:
            return session.get_one(TaskCall, call_id)

    def state(self, call_id: UUID) -> CallState:
        return CallState(self.call(call_id).state)

    def effects(self, call_id: UUID) -> list[EffectRecord]:
        with self.library.database.reader() as session:
            return list(session.scalars(select(EffectRecord).where(EffectRecord.call_id == call_id)))

    def dead_letters(self) -> list[DeadLetter]:
        with self.library.database.reader() as session:
            return list(session.scalars(select(DeadLetter)))
