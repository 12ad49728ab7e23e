"""Dead calls and their letters, put straight into the tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.models.base import new_id, now
from app.models.outbox import CallState, DeadLetter, TaskCall
from app.services.library import Library


def dead_letter(library: Library, **fields: Any) -> UUID:
    """A dead call with its letter, whose `fields` may be chosen; the letter's id."""
    values = {"task": "canary_task", "args": ["default"], "queue": "default", "priority": 5, "subject": None}
    of_call = {**values, **{name: value for name, value in fields.items() if name in values}}
    call = TaskCall(
        id=new_id(),
        state=CallState.DEAD,
        generation=1,
        due_at=now(),
        latest_due_at=now(),
        correlation_id="c",
        coalesce_key=str(new_id()),
        **of_call,
    )
    letter: dict[str, Any] = {
        "reason": "permanent_error",
        "error": {"type": "invalid-input", "detail": "never"},
        "attempts": 1,
        "first_at": now(),
        **of_call,
        **fields,
    }
    row = DeadLetter(id=new_id(), call_id=call.id, generation=1, **letter)
    letter_id = row.id
    with library.database.writer() as session:
        session.add_all([call, row])
    return letter_id
