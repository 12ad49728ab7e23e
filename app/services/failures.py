"""Failures for good: what a dead call leaves behind, on the dead letter and on its resource."""

from __future__ import annotations

from app.events import execution
from app.events.execution import StartedCall
from app.models.base import now
from app.models.derived import DerivedKind
from app.services import derived_states, ingestion
from app.services.library import Library
from app.tasks.task_names import TaskName


def bury(library: Library, call: StartedCall, error: Exception, *, reason: str, traceback: str | None) -> bool:
    """End a call as dead and say so where people look; False when another execution owns it."""
    description = execution.describe(error)
    with library.work() as unit:
        buried = execution.bury(unit.session, call, reason=reason, error=description, traceback=traceback, moment=now())
        if not buried or call.subject is None:
            return buried
        if call.task == TaskName.INGEST_RESOURCE:
            ingestion.fail(unit, call.subject, description)
        elif call.kind is not None:
            kind = DerivedKind(call.kind)
            resource = derived_states.lock_resource(unit.session, call.subject)
            if resource is not None:
                version = getattr(resource, derived_states.input_version(kind).key)
                derived_states.mark_failed(unit.session, call.subject, kind, version=version, error=description)
        return True
