"""Citation ranks: the importance of a resource by PageRank over the edges, computed for all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from sqlalchemy import Select, delete, insert, select
from sqlalchemy.orm import Session, aliased

from app.knowledge.page_rank import page_ranks
from app.models.citation import Citation, CitationRank
from app.models.derived import Counter
from app.models.resource import Resource
from app.services import citation_edges
from app.services.library import Library, Work

RANKED = "citation_ranks"
SIGNIFICANT = 1e-3
"""A rank is written when it moved by this share of itself: one new edge moves every rank by a hair."""
SLICE = 500


def rank(library: Library, *, work: Work) -> None:
    """Rank what is linked, unless it is ranked by these edges already. Only the ends of edges are read, no text."""
    with library.database.reader() as session:
        change = _counted(session, citation_edges.CHANGES)
        is_ranked = change == _counted(session, RANKED)
        edges = [] if is_ranked else [(row.resource_id, row.target_resource_id) for row in session.execute(_edges())]
    ranks = page_ranks(edges)
    with work() as unit:
        citation_edges.hold(unit.session)
        if _counted(unit.session, RANKED) < change:  # else by these edges, or by newer ones
            _write(unit.session, ranks)
            unit.session.merge(Counter(name=RANKED, value=change))


def _edges() -> Select[UUID, UUID | None]:
    source, target = aliased(Resource), aliased(Resource)
    return (
        select(Citation.resource_id, Citation.target_resource_id)
        .join(source, source.id == Citation.resource_id)
        .join(target, target.id == Citation.target_resource_id)
        .where(citation_edges.is_edge(), source.deleted_at.is_(None), target.deleted_at.is_(None))
        .distinct()
        .order_by(Citation.resource_id, Citation.target_resource_id)
    )


def _counted(session: Session, name: str) -> int:
    return session.scalar(select(Counter.value).where(Counter.name == name)) or 0


def _write(session: Session, ranks: Mapping[UUID, float]) -> None:
    held = {row.resource_id: row.score for row in session.execute(select(CitationRank.resource_id, CitationRank.score))}
    moved = {one: score for one, score in ranks.items() if _is_moved(held.get(one), score)}
    for gone in _slices(sorted(held.keys() - ranks.keys())):
        session.execute(delete(CitationRank).where(CitationRank.resource_id.in_(gone)))
    for some in _slices(sorted(moved)):
        session.execute(delete(CitationRank).where(CitationRank.resource_id.in_(some)))
        session.execute(insert(CitationRank), [{"resource_id": one, "score": moved[one]} for one in some])


def _is_moved(held: float | None, score: float) -> bool:
    return held is None or abs(score - held) > SIGNIFICANT * held


def _slices(ids: list[UUID]) -> Iterator[list[UUID]]:
    for start in range(0, len(ids), SLICE):
        yield ids[start : start + SLICE]
