"""`/dead-letters`: work that could not succeed, read, replayed and discarded, the same on every broker."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from app.access import Administers, Reads, holder_of
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.rate_limit import CausesTasks
from app.models.outbox import DeadLetter, LetterOrigin
from app.schemas.dead_letter import (
    ClosingOut,
    DeadLetterDetail,
    DeadLetterOut,
    DeadLetterPage,
    Payload,
    Refusal,
    ReplayedOut,
)
from app.schemas.shape import Line
from app.services import dead_letters
from app.services.dead_letters import Closing, LetterFilter

router = APIRouter(prefix="/dead-letters", tags=["tasks"])

_DIRECT = tuple(DeadLetterOut.model_fields.keys() - {"call_id", "resource_id"})

Cursor = Annotated[UUID | None, Query(description="`next_cursor` of the page before")]
_FIRST_MOMENT, _LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _as_the_schema_says(value: object) -> object:
    """Pydantic alone also takes seconds since 1970, a date without a time, and more."""
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("takes a time such as 2026-11-24T12:00:00Z (RFC 3339)")
    return value


def _of_the_calendar(moment: datetime) -> datetime:
    """In UTC, where it may fall before the year 1 or after 9999: then the first or the last moment there is."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST_MOMENT if moment.year == _FIRST_MOMENT.year else _LAST_MOMENT


Moment = Annotated[AwareDatetime, BeforeValidator(_as_the_schema_says), AfterValidator(_of_the_calendar)]


def _wanted(  # noqa: PLR0917 — query parameters, given by name
    task: Line | None = None,
    queue: Line | None = None,
    reason: Line | None = None,
    resource_id: UUID | None = None,
    since: Annotated[Moment | None, Query(description="Failed last at this time or later")] = None,
    until: Annotated[Moment | None, Query(description="Failed last before this time")] = None,
) -> LetterFilter:
    return LetterFilter(task=task, queue=queue, reason=reason, resource_id=resource_id, since=since, until=until)


Wanted = Annotated[LetterFilter, Depends(_wanted)]


def _who(request: Request) -> str:
    holder = holder_of(request.scope)
    if holder is not None:
        return f"key {holder.name}"
    return f"api {request.client.host if request.client else 'unknown'}"


Who = Annotated[str, Depends(_who)]


@router.get(
    "",
    operation_id="list_dead_letters",
    summary="Work that cannot succeed, with its reason",
    dependencies=[Reads, KnownParametersOnly],
)
def list_dead_letters(
    library: TheLibrary,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> DeadLetterPage:
    """The newest first; what was replayed or discarded is not shown."""
    page = dead_letters.list_page(library, wanted, limit=limit, cursor=cursor)
    return DeadLetterPage(
        items=[DeadLetterOut(**_listed(letter)) for letter in page.items],
        next_cursor=str(page.next_cursor) if page.next_cursor else None,
    )


@router.post(
    "/replay",
    operation_id="replay_dead_letters",
    summary="Replay every dead letter that the filters match",
    responses=problems(429),
    dependencies=[Administers, KnownParametersOnly, CausesTasks],
)
def replay_dead_letters(
    library: TheLibrary,
    wanted: Wanted,
    by: Who,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many in this request")] = 200,
    cursor: Cursor = None,
) -> ReplayedOut:
    """Without a filter, all of them. Each is replayed in a transaction of its own, once however often this is sent."""
    report = dead_letters.replay_many(library, wanted, limit=limit, cursor=cursor, by=by)
    return ReplayedOut(
        replayed=report.replayed,
        superseded=report.superseded,
        refused=[Refusal(id=letter_id, detail=detail) for letter_id, detail in report.refused],
        next_cursor=str(report.next_cursor) if report.next_cursor else None,
    )


@router.get(
    "/{letter_id}",
    operation_id="read_dead_letter",
    summary="One dead letter, with its traceback, history and payload",
    dependencies=[Reads],
)
def read_dead_letter(letter_id: UUID, library: TheLibrary) -> DeadLetterDetail:
    """What was replayed or discarded can still be read, for `DEAD_LETTER_RETENTION_DAYS`."""
    letter = dead_letters.read(library, letter_id)
    return DeadLetterDetail(
        **_listed(letter),
        **{name: getattr(letter, name) for name in ("traceback", "closed_by", "note", "headers")},
        payload=None if letter.payload is None else Payload.of(letter.payload),
        not_replayable_because=dead_letters.why_not_replayable(letter),
    )


@router.post(
    "/{letter_id}/replay",
    operation_id="replay_dead_letter",
    summary="Run the call of a dead letter again",
    responses=problems(409, 429),
    dependencies=[Administers, CausesTasks],
)
def replay_dead_letter(letter_id: UUID, library: TheLibrary, by: Who) -> ClosingOut:
    """To its own queue and priority, with all its attempts before it. Sent twice, it runs once, and the second answer
    says so. 409 when it was discarded, or when no call can be made of it.
    """
    with library.work() as unit:
        closing = dead_letters.replay(unit, letter_id, by=by)
    return _shown(closing)


@router.delete(
    "/{letter_id}",
    status_code=204,
    operation_id="discard_dead_letter",
    summary="Close a dead letter without running its call",
    responses=problems(409),
    dependencies=[Administers, KnownParametersOnly],
)
def discard_dead_letter(
    letter_id: UUID,
    library: TheLibrary,
    by: Who,
    note: Annotated[Line | None, Query(description="Why, for those who read it later")] = None,
) -> None:
    """It is listed no more, and can still be read. Discarding it again changes nothing; 409 when it was replayed."""
    with library.work() as unit:
        dead_letters.discard(unit, letter_id, by=by, note=note)


def _shown(closing: Closing) -> ClosingOut:
    return ClosingOut(
        id=closing.letter_id,
        outcome=closing.outcome.value,
        changed=closing.changed,
        call_id=closing.call_id,
        detail=closing.detail,
    )


def _listed(letter: DeadLetter) -> dict[str, Any]:
    return {
        **{name: getattr(letter, name) for name in _DIRECT},
        "call_id": letter.call_id if letter.origin == LetterOrigin.CALL else None,
        "resource_id": letter.subject,
    }
