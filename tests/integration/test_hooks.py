"""The seed's test of its hooks: an event of the emitter becomes a call that waits in the outbox, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app.events.event_system import event_emitter
from app.events.hooks import register_all_hooks
from app.models.base import new_id, now
from app.models.outbox import CallState, EventRecord, TaskCall
from app.models.resource import Resource
from app.services.library import Library
from app.tasks.task_names import TaskName
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


@pytest.fixture
def library(database_url: str, cache_url: str) -> Iterator[Library]:
    """A library whose outbox the emitter of this process writes to."""
    with a_library(database_url=database_url, cache_url=cache_url) as library:
        register_all_hooks(event_emitter, library.record)
        yield library
        event_emitter.recorder = None


def test_content_change_triggers_embedding_regen(library: Library) -> None:
    resource_id = create_test_resource(library)
    with library.database.writer() as session:
        session.get_one(Resource, resource_id).content = "New content"

    before = now()
    event = event_emitter.emit("resource.content_changed", {"resource_id": str(resource_id)})

    with library.database.reader() as session:
        call = session.scalars(select(TaskCall).where(TaskCall.task == TaskName.REGENERATE_EMBEDDING)).one()
        stored = session.get_one(EventRecord, event.id)
    assert call.state == CallState.WAITING
    assert call.subject == resource_id
    assert call.args == [str(resource_id)]
    assert (call.queue, call.priority) == ("ml_tasks", 7)
    assert timedelta(seconds=4.9) <= call.due_at - before <= timedelta(seconds=30)
    assert call.causation_id == str(stored.id)
    assert call.correlation_id == stored.correlation_id
    assert stored.data == {"resource_id": str(resource_id)}


def create_test_resource(library: Library) -> UUID:
    """A resource nothing has reacted to."""
    resource = Resource(id=new_id(), title="A paper", content="Old content", content_version=1)
    with library.database.writer() as session:
        session.add(resource)
    return resource.id
