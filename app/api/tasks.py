"""`/tasks/{call_id}` and `/dead-letters`: background work, and what of it cannot succeed."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy import select

from app.api.context import TheLibrary
from app.api.known_parameters import KnownParametersOnly
from app.errors import NotFound
from app.models.outbox import CallState, DeadLetter, TaskCall
from app.schemas.shape import Line
from app.schemas.task import DeadLetterDetail, DeadLetterOut, DeadLetterPage, TaskOut

router = APIRouter(tags=["tasks"])

# Clients see five states: a claim is a call that still waits, and a superseded call ends like a done one.
_SHOWN_STATES = {CallState.CLAIMED: CallState.WAITING, CallState.SUPERSEDED: CallState.DONE}
_DIRECT = tuple(TaskOut.model_fields.keys() - {"state", "superseded", "error", "resource_id"})


@router.get(
    "/tasks/{call_id}", response_model=TaskOut, operation_id="read_task", summary="One call of a task: where it is"
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


@router.get(
    "/dead-letters",
    response_model=DeadLetterPage,
    operation_id="list_dead_letters",
    summary="Work that cannot succeed, with its reason",
    dependencies=[KnownParametersOnly],
)
def list_dead_letters(  # noqa: PLR0917 — query parameters, given by name
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
    task: Line | None = None,
    queue: Line | None = None,
    reason: Line | None = None,
) -> Any:
    """The newest first; what was replayed or discarded is not shown."""
    listed = select(DeadLetter).where(DeadLetter.closed_at.is_(None))
    for column, value in ((DeadLetter.task, task), (DeadLetter.queue, queue), (DeadLetter.reason, reason)):
        if value is not None:
            listed = listed.where(column == value)
    if cursor is not None:
        listed = listed.where(DeadLetter.id < cursor)
    with library.database.reader() as session:
        rows = list(session.scalars(listed.order_by(DeadLetter.id.desc()).limit(limit + 1)))
    items = [_shown(row) for row in rows[:limit]]
    return DeadLetterPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


@router.get(
    "/dead-letters/{letter_id}",
    response_model=DeadLetterDetail,
    operation_id="read_dead_letter",
    summary="One dead letter, with its traceback and history",
)
def read_dead_letter(letter_id: UUID, library: TheLibrary) -> Any:
    """What was replayed or discarded can still be read."""
    with library.database.reader() as session:
        letter = session.get(DeadLetter, letter_id)
    if letter is None:
        raise NotFound(f"no dead letter {letter_id}")
    return DeadLetterDetail(**_shown(letter).model_dump(), traceback=letter.traceback, closed_at=letter.closed_at)


def _shown(letter: DeadLetter) -> DeadLetterOut:
    direct = {name: getattr(letter, name) for name in DeadLetterOut.model_fields if name != "resource_id"}
    return DeadLetterOut(**direct, resource_id=letter.subject)
