"""Failures for good: what a dead call leaves behind, on the dead letter and on its resource."""

from __future__ import annotations

from typing import Any

from app.errors import TransportRejected
from app.events import dispatch, execution
from app.events.dispatch import ClaimedCall
from app.events.execution import StartedCall
from app.models.base import now
from app.models.derived import DerivedKind
from app.services import derived_states, ingestion
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName


def bury(library: Library, call: StartedCall, error: Exception, *, reason: str, traceback: str | None) -> bool:
    """End a call as dead and say so where people look; False when another execution owns it."""
    description = execution.describe(error)
    with library.work() as unit:
        buried = execution.bury(unit.session, call, reason=reason, error=description, traceback=traceback, moment=now())
        if buried:
            _say_so(unit, call, description)
        return buried


def bury_rejected(unit: UnitOfWork, call: ClaimedCall, error: TransportRejected) -> bool:
    """End a call that the broker will never take; False when it has moved on meanwhile."""
    description = execution.describe(error)
    buried = dispatch.bury(unit.session, call, error=description, moment=now())
    if buried:
        _say_so(unit, call, description)
    return buried


def _say_so(unit: UnitOfWork, call: StartedCall | ClaimedCall, description: dict[str, Any]) -> None:
    """On the resource whose document or derived data this would have been."""
    if call.subject is None:
        return
    if call.task == TaskName.INGEST_RESOURCE:
        ingestion.fail(unit, call.subject, description, call_id=call.id)
    elif call.kind is not None:
        kind = DerivedKind(call.kind)
        resource = derived_states.lock_resource(unit.session, call.subject)
        if resource is not None:
            version = getattr(resource, derived_states.input_version(kind).key)
            derived_states.mark_failed(unit.session, call.subject, kind, version=version, error=description)
