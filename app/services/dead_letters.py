"""Dead letters: read, replayed and discarded, the same whatever broker they died on.

A letter is closed once, in the transaction that makes its call wait again: pressed twice, or by two processes at
once, it has one effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from app.errors import LetterClosed, NotFound, NotReplayable
from app.events import dispatch, outbox
from app.events.hooks import HOOKS, PlannedCall, is_of_users
from app.models.base import now
from app.models.outbox import CallState, DeadLetter, LetterEnd, LetterOrigin, TaskCall, in_state
from app.services import failures
from app.services.dead_messages import KEYWORDS
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """What a letter must be; None: anything. The times are those of its last failure, `until` not included."""

    task: str | None = None
    queue: str | None = None
    reason: str | None = None
    resource_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    is_open: bool | None = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPage:
    """Letters, newest first, and the id after which the next page begins."""

    items: list[DeadLetter]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a letter ended: now, or (`changed` is False) before. `call_id` is the call that does its work."""

    letter_id: UUID
    outcome: LetterEnd
    changed: bool
    call_id: UUID | None
    detail: str


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What came of many; `refused` pairs letters with the reason. `next_cursor` is where to go on, None at the end."""

    replayed: int = 0
    superseded: int = 0
    refused: list[tuple[UUID, str]] = field(default_factory=list)
    next_cursor: UUID | None = None


def list_page(library: Library, wanted: LetterFilter, *, limit: int, cursor: UUID | None) -> LetterPage:
    """`limit` letters older than `cursor`, newest first."""
    listed = select(DeadLetter).where(*_conditions(wanted)).order_by(DeadLetter.id.desc()).limit(limit + 1)
    if cursor is not None:
        listed = listed.where(DeadLetter.id < cursor)
    with library.database.reader() as session:
        rows = list(session.scalars(listed))
    return LetterPage(items=rows[:limit], next_cursor=rows[limit - 1].id if len(rows) > limit else None)


def read(library: Library, letter_id: UUID) -> DeadLetter:
    """One letter, closed or not. Raises `NotFound`."""
    with library.database.reader() as session:
        letter = session.get(DeadLetter, letter_id)
    if letter is None:
        raise NotFound(f"no dead letter {letter_id}")
    return letter


def replay(unit: UnitOfWork, letter_id: UUID, *, by: str) -> Closing:
    """Let the call of a letter wait again: to its own queue and priority, with all its attempts before it.

    Replayed before: nothing changes, and the answer says so. Raises `NotFound`, `LetterClosed` when it was discarded,
    `NotReplayable` with the reason.
    """
    session = unit.session
    letter = _close(session, letter_id, LetterEnd.REPLAYED, by=by, note=None)
    if letter is None:
        return _closed_before(session, letter_id, LetterEnd.REPLAYED, LetterEnd.SUPERSEDED)
    revive = _call_from_message if letter.origin == LetterOrigin.MESSAGE else _wake
    call_id, detail = revive(unit, letter)
    outbox.wake_relay(session)
    return Closing(
        letter_id=letter_id,
        outcome=LetterEnd(letter.closed_as or LetterEnd.REPLAYED),
        changed=True,
        call_id=call_id,
        detail=detail,
    )


def replay_many(library: Library, wanted: LetterFilter, *, limit: int, cursor: UUID | None, by: str) -> Replayed:
    """Replay up to `limit` open letters that are older than `cursor`, newest first, each in its own transaction.

    What died after this began is not touched, so a task that dies at once is not replayed for ever.
    """
    page = list_page(library, wanted, limit=limit, cursor=cursor)
    report = Replayed(next_cursor=page.next_cursor)
    for letter in page.items:
        try:
            with library.work() as unit:
                closing = replay(unit, letter.id, by=by)
        except (NotReplayable, LetterClosed, NotFound) as error:
            report.refused.append((letter.id, error.detail))
            continue
        if closing.changed:
            report.replayed += closing.outcome == LetterEnd.REPLAYED
            report.superseded += closing.outcome == LetterEnd.SUPERSEDED
    return report


def discard(unit: UnitOfWork, letter_id: UUID, *, by: str, note: str | None) -> Closing:
    """Close a letter for good; its call stays dead. Discarded before: nothing changes, the first note stays.

    Raises `NotFound`, and `LetterClosed` when it was replayed.
    """
    letter = _close(unit.session, letter_id, LetterEnd.DISCARDED, by=by, note=note)
    if letter is None:
        return _closed_before(unit.session, letter_id, LetterEnd.DISCARDED)
    call = unit.session.get(TaskCall, letter.call_id) if letter.origin == LetterOrigin.CALL else None
    if call is not None:
        failures.give_up(unit, call)
    return Closing(
        letter_id=letter_id, outcome=LetterEnd.DISCARDED, changed=True, call_id=None, detail="it will not run again"
    )


def _conditions(wanted: LetterFilter) -> list[ColumnElement[bool]]:
    same = {
        DeadLetter.task: wanted.task,
        DeadLetter.queue: wanted.queue,
        DeadLetter.reason: wanted.reason,
        DeadLetter.subject: wanted.resource_id,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in same.items() if value is not None]
    if wanted.since is not None:
        conditions.append(DeadLetter.last_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(DeadLetter.last_at < wanted.until)
    if wanted.is_open is not None:
        conditions.append(DeadLetter.closed_at.is_(None) if wanted.is_open else DeadLetter.closed_at.is_not(None))
    return conditions


def _close(session: Session, letter_id: UUID, end: LetterEnd, *, by: str, note: str | None) -> DeadLetter | None:
    """One conditional UPDATE, which only one of many can win; None for all others."""
    closed = (
        update(DeadLetter)
        .where(DeadLetter.id == letter_id, DeadLetter.closed_at.is_(None))
        .values(closed_at=now(), closed_as=end, closed_by=by[:128], note=note)
        .returning(DeadLetter)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return session.scalars(closed).one_or_none()


def _closed_before(session: Session, letter_id: UUID, *same: LetterEnd) -> Closing:
    letter = session.get(DeadLetter, letter_id, populate_existing=True)
    if letter is None:
        raise NotFound(f"no dead letter {letter_id}")
    outcome = LetterEnd(letter.closed_as or LetterEnd.DISCARDED)
    when = f"{letter.closed_at:%Y-%m-%d %H:%M:%S} UTC by {letter.closed_by}"
    if outcome not in same:
        raise LetterClosed(f"this letter was {outcome} at {when}")
    call_id = letter.call_id if letter.origin == LetterOrigin.CALL and outcome == LetterEnd.REPLAYED else None
    return Closing(
        letter_id=letter_id, outcome=outcome, changed=False, call_id=call_id, detail=f"it was {outcome} at {when}"
    )


def _wake(unit: UnitOfWork, letter: DeadLetter) -> tuple[UUID | None, str]:
    """Locks the resource before the call, in the order of every change to a resource."""
    session = unit.session
    call = session.get(TaskCall, letter.call_id)
    if call is None or call.state != CallState.DEAD or call.generation != letter.generation:
        raise NotReplayable("its call is not dead any more, or was removed: there is nothing to wake")
    has_resource = failures.take_back(session, call)
    state = dispatch.wake_dead(session, call.id, generation=letter.generation, moment=now())
    if state is None:
        raise NotReplayable("its call is not dead any more")
    if state == CallState.SUPERSEDED:
        letter.closed_as = LetterEnd.SUPERSEDED
        return _waiting(session, call.coalesce_key), "a waiting call does its work already"
    if not has_resource:
        return call.id, "its resource is deleted: the call will find nothing to build"
    return call.id, f"it waits for {letter.queue}, priority {letter.priority}"


def _waiting(session: Session, key: str | None) -> UUID | None:
    return session.scalar(select(TaskCall.id).where(TaskCall.coalesce_key == key, in_state(CallState.WAITING)))


def _call_from_message(unit: UnitOfWork, letter: DeadLetter) -> tuple[UUID | None, str]:
    """A message that no call knows becomes one, if it says which task of ours it is for, and with what."""
    why = _why_not(letter)
    if why is not None:
        raise NotReplayable(f"this message cannot be replayed: {why}")
    hook = next((hook for hook in HOOKS if hook.task == letter.task), None)
    call = PlannedCall(
        task=TaskName(letter.task),
        args=letter.args,
        queue=letter.queue,
        priority=letter.priority,
        delay=timedelta(0),
        coalesce_key=None,
        subject=_resource_of(letter) if hook and not is_of_users(hook) else None,
        kind=hook.kind if hook else None,
    )
    unit.enqueue(call)
    return unit.store()[0].id, "a new call has its task and arguments"


def why_not_replayable(letter: DeadLetter) -> str | None:
    """The reason for which a replay of this letter would be refused, None when there is none."""
    if letter.closed_at is not None:
        return f"it was {letter.closed_as}"
    return _why_not(letter) if letter.origin == LetterOrigin.MESSAGE else None


def _why_not(letter: DeadLetter) -> str | None:
    if letter.reason == "undecodable":
        return "what it asks for cannot be read"
    if letter.task not in set(TaskName):
        return f"no task is called {letter.task}"
    if (letter.headers or {}).get(KEYWORDS):
        return "it has keyword arguments, which no task takes"
    return None


def _resource_of(letter: DeadLetter) -> UUID | None:
    try:
        return UUID(str(letter.args[0])) if letter.args else None
    except ValueError:
        return None
