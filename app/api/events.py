"""`/events`: what happened, as a list and as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import anyio
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from app.access import Reads
from app.api.context import ApiContext, Context, TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.errors import RateLimited, TransientError
from app.models.base import now
from app.models.outbox import EventRecord
from app.schemas.task import EventOut
from app.services.library import Library

router = APIRouter(prefix="/events", tags=["events"], dependencies=[Reads])

HISTORY_LENGTH = 1000
HISTORY_LENGTH_MAX = 10_000
POLL_SECONDS = 0.5
STREAM_SLICE = 200
# Ids are made before their commit: within this time an older event may still appear behind a newer one.
SETTLED_AFTER = timedelta(seconds=1)


@router.get(
    "/history",
    response_model=list[EventOut],
    operation_id="read_event_history",
    summary="The newest events, oldest of them first",
    dependencies=[KnownParametersOnly],
)
def read_event_history(
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=HISTORY_LENGTH_MAX)] = HISTORY_LENGTH,
) -> Any:
    """The same from every process: durable events are rows, kept for 30 days unless set otherwise."""
    newest = select(EventRecord).order_by(EventRecord.id.desc()).limit(limit)
    with library.database.reader() as session:
        return list(reversed(session.scalars(newest).all()))


def _stream_slot(context: Context) -> Iterator[None]:
    if not context.streams.acquire(blocking=False):
        raise RateLimited("too many event streams are open; read /events/history, or come back later")
    try:
        yield
    finally:
        context.streams.release()


@router.get(
    "/stream",
    response_class=EventSourceResponse,
    operation_id="stream_events",
    summary="Events as they happen (server-sent events)",
    responses=problems(429),
    dependencies=[Depends(_stream_slot)],
)
async def stream_events(
    context: Context,
    last_event_id: Annotated[UUID | None, Header(description="Go on after this event; browsers send it")] = None,
    follow: Annotated[bool, Query(description="False: end after what has happened so far")] = True,
) -> AsyncIterator[ServerSentEvent]:
    """Event by event, about a second after its commit, from now on or after `Last-Event-ID`."""
    last = last_event_id or _id_at_age(timedelta(0))
    while not context.stopping.is_set():
        try:
            events = await run_in_threadpool(_settled_after, context.library, last)
        except TransientError:  # the stream outlives an absence of the database
            events = []
        for event in events:
            yield ServerSentEvent(data=event, event=event.name, id=str(event.id))
            last = event.id
        if len(events) < STREAM_SLICE:
            if not follow:
                return
            await _pause(context)


async def _pause(context: ApiContext) -> None:
    """Wait for the next look, but not past the end of the process."""
    for _ in range(5):
        if not context.stopping.is_set():
            await anyio.sleep(POLL_SECONDS / 5)


def _settled_after(library: Library, last: UUID) -> Sequence[EventOut]:
    until = _id_at_age(SETTLED_AFTER)
    settled = (
        select(EventRecord)
        .where(EventRecord.id > last, EventRecord.id < until)
        .order_by(EventRecord.id)
        .limit(STREAM_SLICE)
    )
    with library.database.reader() as session:
        return [EventOut.model_validate(row) for row in session.scalars(settled)]


def _id_at_age(age: timedelta) -> UUID:
    """The smallest UUIDv7 of the millisecond that was `age` ago (RFC 9562, §5.7)."""
    milliseconds = int((now() - age).timestamp() * 1000)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62))
