"""Changes of the search index, numbered in the order of their commits: what a kept page of hits has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.events import counters
from app.models.search import SearchDocument

CHANGES = "search index"


def note(session: Session, resource_ids: Sequence[UUID]) -> None:
    """What the index says of these is another thing than before.

    Said last: whoever else changes the index waits from here to the commit, which makes the order of the numbers that
    of the commits.
    """
    changed = update(SearchDocument).where(SearchDocument.resource_id.in_(resource_ids))
    number = counters.count(session, CHANGES, 1)
    session.execute(changed.values(change=number), execution_options={"synchronize_session": False})


def since(session: Session, number: int, *, limit: int) -> set[UUID]:
    """Indexed resources that were changed after that number; not all of them where they are as many as `limit`."""
    newer = select(SearchDocument.resource_id).where(SearchDocument.change > number)
    return set(session.scalars(newer.limit(limit)))
