"""Interactions: what a user did with a resource, counted, listed, and forgotten when the user asks for it.

Lock order: the row of the user's profile before any call of the outbox.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from app.cache.keys import recommendations_key
from app.errors import InvalidInput
from app.events.event_types import EventType
from app.events.hooks import coalesce_key, refresh_profile
from app.events.outbox import insert_of
from app.models.base import new_id, now
from app.models.interaction import Interaction, InteractionType, UserProfile
from app.models.outbox import CallState, EventRecord, TaskCall, in_state
from app.services import resources
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName

REFRESH_AFTER_RESTORED = timedelta(seconds=30)
"""After the last one that an import brings: a profile for each of ten thousand would be built for nobody."""
LONGEST_BUILD = timedelta(minutes=1)
"""Between the event of a profile and its commit, and what clocks of two hosts differ by."""
FIELDS = ("id", "user_id", "number", "resource_id", "type", "rating", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionPage:
    """Interactions of one user, the newest first, the count of all, and where the next page begins."""

    items: list[dict[str, Any]]
    total: int
    next_cursor: str | None


def track(fields: Mapping[str, Any], *, unit: UnitOfWork) -> dict[str, Any]:
    """Note an interaction; raises `NotFound` for a resource that is not there. A time to come counts as now."""
    session, user_id = unit.session, str(fields["user_id"])
    resource = resources.find(session, fields["resource_id"])
    moment = now()
    number = _next_number(unit, user_id)
    data = {
        "user_id": user_id,
        "resource_id": str(resource.id),
        "type": str(fields["type"]),
        "total_interactions": number,
    }
    event = unit.emit(EventType.USER_INTERACTION_TRACKED, data)
    row = Interaction(
        id=event.id,
        user_id=user_id,
        number=number,
        resource_id=resource.id,
        type=InteractionType(fields["type"]),
        rating=fields.get("rating"),
        at=min(fields.get("at") or moment, moment),
        created_at=moment,
    )
    session.add(row)
    session.flush()
    return describe(row)


def restore(fields: Mapping[str, Any], *, unit: UnitOfWork) -> None:
    """Put back an interaction that an archive has, at its number, or as the newest where another has that number.

    Nothing happened, so no event tells of it; the profile is built anew. As in `track` a time to come counts as now,
    from which the ages of all others would be counted else. Raises `NotFound` for a resource that is not
    there. One that is there already stays as it is.
    """
    session, user_id = unit.session, str(fields["user_id"])
    resource = resources.find(session, fields["resource_id"])
    total: int = session.execute(_profile(unit, user_id, more=0)).scalar_one()
    if session.get(Interaction, fields["id"], populate_existing=True) is not None:
        return
    number = int(fields["number"])
    of_another = select(Interaction.id).where(Interaction.user_id == user_id, Interaction.number == number)
    if session.scalar(of_another) is not None:
        number = total + 1
    moment = now()
    times = {name: min(fields[name], moment) for name in ("at", "created_at")}
    session.add(Interaction(**{**fields, **times, "number": number, "resource_id": resource.id}))
    total = max(total, number)
    moved = update(UserProfile).where(UserProfile.user_id == user_id).values(total_interactions=total)
    session.execute(moved.execution_options(synchronize_session=False))
    unit.enqueue(refresh_profile(user_id, total_interactions=total, delay=REFRESH_AFTER_RESTORED))


def describe(row: Interaction) -> dict[str, Any]:
    """Every field that clients see."""
    return {name: getattr(row, name) for name in FIELDS}


def list_page(library: Library, *, user_id: str, limit: int, cursor: str | None) -> InteractionPage:
    """`limit` interactions after `cursor`. Raises `InvalidInput` for a cursor that is none of this list's."""
    before = _decode(cursor, user_id=user_id) if cursor else None
    listed = select(Interaction).where(Interaction.user_id == user_id)
    if before is not None:
        listed = listed.where(Interaction.number < before)
    with library.database.reader() as session:
        total = session.scalar(select(UserProfile.total_interactions).where(UserProfile.user_id == user_id))
        rows = list(session.scalars(listed.order_by(Interaction.number.desc()).limit(limit + 1)))
    items = [describe(row) for row in rows[:limit]]
    next_cursor = _encode(items[-1]["number"], user_id=user_id) if len(rows) > limit else None
    return InteractionPage(items=items, total=total or 0, next_cursor=next_cursor)


def forget(library: Library, user_id: str) -> int:
    """Remove what is known of a user: interactions, their events, the profile, what is recommended, ended calls.

    Returns the number of interactions. A profile that is being built meanwhile is not written: its row is gone, and
    one that comes after it has another id. A call that is on its way to a worker does nothing there, and its row goes
    with the retention of calls.
    """
    looked = now() - LONGEST_BUILD
    with library.database.reader() as session:  # looking through all events and calls takes long, and locks nothing
        updates = _ids(session, EventRecord.id, _is_update_of(user_id))
        calls = _ids(session, TaskCall.id, TaskCall.coalesce_key == _call_key(user_id))
    with library.work() as unit:
        session = unit.session
        session.execute(select(UserProfile.id).where(UserProfile.user_id == user_id).with_for_update())
        gone = delete(Interaction).where(Interaction.user_id == user_id).returning(Interaction.id)
        ids = list(session.scalars(gone))
        session.execute(delete(UserProfile).where(UserProfile.user_id == user_id))
        # Those of a build that was committed between the look and the lock; no other follows.
        updates += _ids(session, EventRecord.id, _is_update_of(user_id) & (EventRecord.timestamp > looked))
        for chosen in _slices([*ids, *updates]):
            session.execute(delete(EventRecord).where(EventRecord.id.in_(chosen)))
        waiting = (TaskCall.coalesce_key == _call_key(user_id)) & in_state(CallState.WAITING)
        session.execute(delete(TaskCall).where(waiting).execution_options(synchronize_session=False))
        for chosen in _slices(sorted(calls)):
            ended = TaskCall.state.in_((CallState.DONE, CallState.SUPERSEDED))
            session.execute(delete(TaskCall).where(TaskCall.id.in_(chosen), ended))
        unit.drop([recommendations_key(user_id)])
    return len(ids)


def _next_number(unit: UnitOfWork, user_id: str) -> int:
    """Moved inside the transaction: the lock on the row makes the order of numbers that of the commits."""
    number: int = unit.session.execute(_profile(unit, user_id, more=1)).scalar_one()
    return number


def _profile(unit: UnitOfWork, user_id: str, *, more: int) -> Any:
    """Makes the row or locks it, counts `more` interactions, and returns how many there are."""
    first = insert_of(unit.session)(UserProfile).values(
        user_id=user_id,
        id=new_id(),
        total_interactions=more,
        built_from=0,
        revision=0,
        inputs=0,
        subjects={},
        authors={},
        likings=[],
        updated_at=now(),
    )
    moved = first.on_conflict_do_update(
        index_elements=[UserProfile.user_id], set_={"total_interactions": UserProfile.total_interactions + more}
    )
    return moved.returning(UserProfile.total_interactions)


def _call_key(user_id: str) -> str:
    return coalesce_key(TaskName.REFRESH_RECOMMENDATION_PROFILE, user_id)


def _is_update_of(user_id: str) -> Any:
    of_profiles = EventRecord.name == EventType.USER_PROFILE_UPDATED
    return of_profiles & (EventRecord.data["user_id"].as_string() == user_id)


def _ids(session: Any, column: Any, condition: Any) -> list[UUID]:
    return list(session.scalars(select(column).where(condition)))


def _slices(ids: list[UUID], *, length: int = 500) -> list[list[UUID]]:
    return [ids[start : start + length] for start in range(0, len(ids), length)]


def _digest(user_id: str) -> str:
    return sha256(user_id.encode()).hexdigest()[:16]


def _encode(number: int, *, user_id: str) -> str:
    packed = json.dumps([number, _digest(user_id)], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode(cursor: str, *, user_id: str) -> int:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        number, of = json.loads(packed)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise InvalidInput("this cursor does not continue a list of interactions") from error
    if type(number) is not int or not 0 < number < 2**31 or of != _digest(user_id):
        raise InvalidInput("this cursor does not continue the interactions of this user")
    return number
