"""Dead messages: what a broker gave up, and the row in which its truth is.

a call that has ended, waits, runs, or was sent anew      nothing: the message was a copy
a call that was sent and never started                    dead, with its letter (or waiting again: see DROPPED)
no call of this library                                   a letter with the bytes of the message
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.events import dispatch
from app.events.outbox import is_postgres
from app.models.base import new_id, now
from app.models.outbox import DeadLetter, LetterOrigin, TaskCall
from app.services import failures
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from app.transports.base import DeadMessage

KEYWORDS = "kwargs"
"""Where the keyword arguments are among the headers of a letter."""
UNREADABLE_TASK = "(unreadable)"
DROPPED = ("expired", "maxlen")
"""A policy of the broker took the message from a call that nobody has tried: it is sent again."""
DROPPED_DELAY = timedelta(seconds=10)
_MESSAGES = UUID("6f6b7a1e-0f4b-5c53-9c0e-6d1e0c6a7f11")


class Verdict(StrEnum):
    """What became of a dead message."""

    COPY = "copy"
    BURIED = "buried"
    SENT_AGAIN = "sent_again"
    KEPT = "kept"


def is_copy(session: Session, message: DeadMessage) -> bool:
    """Whether the rows say all there is to say already. What is a copy now is one for ever."""
    call = _call_of(session, message)
    if call is not None:
        return not failures.may_be_given_up(call, generation=message.generation)
    call_id = _uuid(message.message_id)
    ended = [_letter_of(identity_of(message), 0)]
    if call_id is not None and message.generation is not None:
        ended.append(_letter_of(call_id, message.generation))
    return any(session.scalar(select(one)) for one in ended)


def settle(unit: UnitOfWork, message: DeadMessage, *, moment: datetime) -> Verdict:
    """Write the end of `message` into its row, or make it one; the second time nothing is left to write."""
    call = _call_of(unit.session, message)
    if call is None:
        return _keep(unit.session, message)
    if not failures.may_be_given_up(call, generation=message.generation):
        return Verdict.COPY
    if message.reason in DROPPED:
        again = dispatch.wait_again(
            unit.session,
            call.id,
            generation=call.generation,
            states=dispatch.UNSTARTED_STATES,
            due_at=moment + DROPPED_DELAY,
        )
        return Verdict.SENT_AGAIN if again else Verdict.COPY
    buried = failures.bury_given_up(
        unit,
        call,
        reason=message.reason[:64],
        detail=_story(message, "before a worker started it"),
        headers=dict(message.headers),
        moment=moment,
    )
    return Verdict.BURIED if buried else Verdict.COPY


def identity_of(message: DeadMessage) -> UUID:
    """The same for two looks at one message. Two that are equal to the byte, and died together, are one."""
    digest = hashlib.sha256(message.payload)
    told = (
        message.queue,
        message.reason,
        message.count,
        message.died_at and message.died_at.isoformat(),
        dict(message.headers),
    )
    digest.update(json.dumps(told, sort_keys=True, default=str).encode())
    return uuid5(_MESSAGES, digest.hexdigest())


def _keep(session: Session, message: DeadMessage) -> Verdict:
    reason = _reason(message)
    error = {"type": reason.replace("_", "-"), "detail": _story(message, _MEANING.get(reason, _NO_CALL))}
    died = message.died_at or now()
    values: dict[str, Any] = {
        "id": new_id(),
        "call_id": identity_of(message),
        "generation": 0,
        "origin": LetterOrigin.MESSAGE,
        "task": message.task or UNREADABLE_TASK,
        "args": message.args or [],
        "queue": message.queue,
        "priority": message.priority,
        "reason": reason,
        "error": error,
        "attempts": message.count,
        "history": [{"at": died.isoformat(), "attempt": message.count, **error}],
        "headers": {**message.headers, KEYWORDS: dict(message.kwargs or {})},
        "payload": message.payload,
        "first_at": died,
        "last_at": died,
    }
    insert = postgresql.insert if is_postgres(session) else sqlite.insert
    kept = insert(DeadLetter).values(**values).on_conflict_do_nothing().returning(DeadLetter.id)
    return Verdict.COPY if session.execute(kept).first() is None else Verdict.KEPT


_NO_CALL = "and no call of this library is behind it"
_MEANING = {
    "undecodable": "and its arguments cannot be read",
    "unknown_task": "and no task of this library has its name",
}


def _reason(message: DeadMessage) -> str:
    if message.task is None or message.args is None:
        return "undecodable"
    if message.reason in {"delivery_limit", *DROPPED}:
        return message.reason
    return message.reason[:64] if message.task in set(TaskName) else "unknown_task"


def _story(message: DeadMessage, rest: str) -> str:
    times = "once" if message.count == 1 else f"{message.count} times"
    return f"the broker gave the message up ({message.reason}, {times}) {rest}"


def _call_of(session: Session, message: DeadMessage) -> TaskCall | None:
    call_id = _uuid(message.message_id)
    return None if call_id is None or message.generation is None else session.get(TaskCall, call_id)


def _letter_of(call_id: UUID, generation: int) -> Any:
    return exists().where(DeadLetter.call_id == call_id, DeadLetter.generation == generation)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
