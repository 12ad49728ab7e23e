"""`/tasks/{call_id}`: background work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from app.access import Reads
from app.api.context import TheLibrary
from app.errors import NotFound
from app.models.outbox import CallState, TaskCall
from app.schemas.task import TaskOut

router = APIRouter(tags=["tasks"])

# Clients see five states: a claim is a call that still waits, and a superseded call ends like a done one.
_SHOWN_STATES = {CallState.CLAIMED: CallState.WAITING, CallState.SUPERSEDED: CallState.DONE}
_DIRECT = tuple(TaskOut.model_fields.keys() - {"state", "superseded", "error", "resource_id"})


@router.get(
    "/tasks/{call_id}",
    response_model=TaskOut,
    operation_id="read_task",
    summary="One call of a task: where it is",
    dependencies=[Reads],
)
def read_task(call_id: UUID, library: TheLibrary) -> Any:
    """Calls are kept for a week after their end."""
    with library.database.reader() as session:
        call = session.get(TaskCall, call_id)
    if call is None:
        raise NotFound(f"there is no call {call_id}")
    return {
        **{name: getattr(call, name) for name in _DIRECT},
        "state": _SHOWN_STATES.get(call.state, call.state),
        "superseded": call.state == CallState.SUPERSEDED,
        "error": call.last_error,
        "resource_id": call.subject,
    }
