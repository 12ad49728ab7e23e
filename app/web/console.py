"""Console: what the pages of one application share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.access import client_of
from app.schemas.operations import Readiness
from app.services.library import Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """`readiness` answers at once, from memory. `admit` counts one request of a key or address that causes tasks,
    and raises `RateLimited` when it is one too many: the API's own limit.
    """

    library: Library
    readiness: Callable[[], Readiness]
    admit: Callable[[str], object]
    version: str


async def console_of(request: Request) -> Console:
    """The console of this application (async: no thread is needed to look at an attribute)."""
    console: Console = request.app.state.console
    return console


TheConsole = Annotated[Console, Depends(console_of)]


async def _admit(request: Request) -> None:
    (await console_of(request)).admit(client_of(request))


CausesTasks = Depends(_admit)
"""Dependency of every page action that puts calls into the outbox."""
