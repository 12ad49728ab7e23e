"""`/console/dead-letters`: what could not be done, why, and what is to become of it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from app.access import Administers, Reads, holder_of
from app.services import dead_letters
from app.services.dead_letters import LetterFilter
from app.web.console import CausesTasks, TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render

PATH = "/console/dead-letters"
PAGE_SIZE = 20
NOTICES = {
    "replayed": "It waits to run again.",
    "superseded": "Nothing was run again: a call that waits does its work already.",
    "discarded": "It is discarded, and will not run again.",
}

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=PATH)


@router.get("", dependencies=[Reads])
def show_dead_letters(
    request: Request, console: TheConsole, cursor: Annotated[UUID | None, Query()] = None, done: str = ""
) -> Response:
    """The newest first."""
    page = dead_letters.list_page(console.library, LetterFilter(), limit=PAGE_SIZE, cursor=cursor)
    items = [(letter, dead_letters.why_not_replayable(letter)) for letter in page.items]
    return render(
        request, "dead_letters.html", items=items, next_cursor=page.next_cursor, path=PATH, notice=NOTICES.get(done)
    )


@router.post("/{letter_id}/replay", dependencies=[Administers, CausesTasks])
def replay(request: Request, letter_id: UUID, console: TheConsole) -> Response:
    """Run its call again."""
    with console.library.work() as unit:
        closing = dead_letters.replay(unit, letter_id, by=_who(request))
    return RedirectResponse(f"{PATH}?done={closing.outcome.value}", 303)


@router.post("/{letter_id}/discard", dependencies=[Administers, CausesTasks])
def discard(
    request: Request, letter_id: UUID, console: TheConsole, note: Annotated[str, Form(max_length=1000)] = ""
) -> Response:
    """Close it without running it."""
    with console.library.work() as unit:
        closing = dead_letters.discard(unit, letter_id, by=_who(request), note=note.replace("\0", "") or None)
    return RedirectResponse(f"{PATH}?done={closing.outcome.value}", 303)


def _who(request: Request) -> str:
    holder = holder_of(request.scope)
    if holder is not None:
        return f"key {holder.name}"
    return f"console {request.client.host if request.client else 'unknown'}"
