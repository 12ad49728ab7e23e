"""Changes of embeddings, numbered in the order of their commits: what is newer than a matrix of vectors."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.events import counters
from app.models.derived import Embedding

CHANGES = "embeddings"


def forget(session: Session, resource_id: UUID) -> None:
    """Empty the vectors of a deleted resource, so that every process drops them from its matrix."""
    emptied = update(Embedding).where(Embedding.resource_id == resource_id)
    if session.get(Embedding, resource_id) is not None:
        session.execute(emptied.values(passage_count=0, passages=b"", change=next_change(session)))


def newest(session: Session) -> int:
    """The number of the last committed change: what is computed after this was read has seen it."""
    return counters.read(session, CHANGES)


def since(session: Session, number: int, *, limit: int) -> dict[UUID, Embedding]:
    """Vectors that were changed after that number; not all of them where they are as many as `limit`."""
    newer = select(Embedding).where(Embedding.change > number).limit(limit)
    return {row.resource_id: row for row in session.scalars(newer)}


def next_change(session: Session) -> int:
    """The counter's row lock orders embedding commits, so a matrix that has seen change n misses none below it."""
    return counters.count(session, CHANGES, 1)
