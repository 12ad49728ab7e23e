"""Cache warming: at the start of an API process, what readers will ask for first is put into the cache.

The cache does not persist, and is empty after each start of the stack. The hottest resources are those that users did
most with of late. It goes through the same leases as every reader: what is cached already costs one look, nobody
computes what another computes, and several processes that start together share the work. An edit warms nothing: the
next reader computes what all others then find, so warming would compute as much, and for some values in vain.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic
from uuid import UUID

import structlog
from sqlalchemy import func, select

from app.errors import AlexandriaError, NotFound
from app.models.derived import DerivedKind
from app.models.interaction import Interaction
from app.services import derived_states, quality, resources
from app.services.library import Library

RECENT_MAX = 20_000
"""Newest interactions by which the hottest are told."""
BUDGET_SECONDS = 5.0

log = structlog.get_logger(__name__)


def warm_in_background(library: Library, stopping: threading.Event) -> threading.Thread:
    """A thread that no request waits for: a database or cache that is away is met by the first reader as well."""
    thread = threading.Thread(target=_warm_unasked, args=(library, stopping), name="cache-warming", daemon=True)
    thread.start()
    return thread


def warm(library: Library, *, most: int, stopping: threading.Event, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Put the `most` hottest resources and their quality into the cache; how many until the budget was spent."""
    until = monotonic() + budget_seconds
    warmed = 0
    for one in hottest(library, most=most) if most else []:
        if stopping.is_set() or monotonic() > until:
            break
        with suppress(NotFound):  # deleted meanwhile
            resources.get(library, one)
            with library.database.reader() as session:
                build = derived_states.build_number(session, one, DerivedKind.QUALITY)
            quality.read(library, one, build=build)
            warmed += 1
    return warmed


def hottest(library: Library, *, most: int) -> list[UUID]:
    """The resources that users did most with of late, the hottest first."""
    recent = select(Interaction.resource_id).order_by(Interaction.at.desc(), Interaction.id.desc()).limit(RECENT_MAX)
    some = recent.subquery()
    ranked = select(some.c.resource_id).group_by(some.c.resource_id)
    ranked = ranked.order_by(func.count().desc(), some.c.resource_id).limit(most)
    with library.database.reader() as session:
        return list(session.scalars(ranked))


def _warm_unasked(library: Library, stopping: threading.Event) -> None:
    try:
        warmed = warm(library, most=library.settings.cache_warmed_resources, stopping=stopping)
    except AlexandriaError as error:
        log.info("cache not warmed", why=error.detail)
    except Exception:  # nothing depends on it
        if not stopping.is_set():
            log.exception("cache not warmed")
    else:
        log.debug("cache warmed", resources=warmed)
