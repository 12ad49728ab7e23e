"""Neighbours of a resource: near in what they say, in how they are labelled, or by citations.

Candidates are what citations lead to in up to three hops, and what the vectors hold nearest: what shares a tag and
nothing else would cost a look at every resource, and tags alone make nobody near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, func, select, union_all
from sqlalchemy.orm import Session

from app.cache.keys import graph_neighbors_key
from app.knowledge.category_tree import CategoryTree
from app.knowledge.nearness import is_same_class, jaccard, nearness
from app.models.citation import Citation
from app.models.classification import ResourceCategory
from app.models.derived import Embedding
from app.models.resource import Resource
from app.services import category_codes, citation_edges
from app.services.library import Library

if TYPE_CHECKING:
    import numpy as np

HOPS_MAX = 3
LIMIT_MAX = 50
NEAREST = 100
FRONTIER = 300
"""Resources that one hop leads to at most: beyond a hub that everything cites, the next hop would be the library."""


def read(library: Library, resource_id: UUID, *, hops: int, limit: int) -> list[dict[str, Any]]:
    """The nearest, best first. Cached; every commit that changes what this depends on drops all such lists."""

    def compute() -> list[dict[str, Any]]:
        with library.database.reader() as session:
            return _neighbors(library, session, resource_id, hops=hops, limit=LIMIT_MAX)

    key = f"{graph_neighbors_key(str(resource_id))}:{hops}:{library.embedding_model}"
    return library.cache.get_or_compute(key, compute)[:limit]


def _neighbors(library: Library, session: Session, resource_id: UUID, *, hops: int, limit: int) -> list[dict[str, Any]]:
    distances = _reached(session, resource_id, hops=hops)
    vector = _vectors(session, library.embedding_model, [resource_id]).get(resource_id)
    candidates = set(distances) | _nearest(library, session, vector) - {resource_id}
    rows = {row.id: row for row in session.execute(_described({*candidates, resource_id}))}
    own = rows.get(resource_id)
    if own is None:
        return []
    vectors = _vectors(session, library.embedding_model, candidates)
    tree = category_codes.tree(session)
    found = [
        _neighbor(tree, own, row, vector=vector, other=vectors.get(one), hops=distances.get(one))
        for one, row in rows.items()
        if one != resource_id
    ]
    return sorted(found, key=lambda item: (-item["score"], item["resource_id"]))[:limit]


def _reached(session: Session, resource_id: UUID, *, hops: int) -> dict[UUID, int]:
    """Resources that citations, followed either way, lead to in so many hops at least.

    Hop by hop, and not as one recursive statement: PostgreSQL allows no limit inside of a recursion.
    """
    distances: dict[UUID, int] = {}
    frontier = {resource_id}
    for hop in range(1, hops + 1):
        rows = union_all(
            select(Citation.target_resource_id.label("id")).where(
                Citation.resource_id.in_(frontier), citation_edges.is_edge()
            ),
            select(Citation.resource_id.label("id")).where(
                Citation.target_resource_id.in_(frontier), citation_edges.is_edge()
            ),
        ).subquery()
        seen = [*distances, resource_id]
        new = select(rows.c.id).where(rows.c.id.not_in(seen)).distinct().order_by(rows.c.id).limit(FRONTIER)
        frontier = set(session.scalars(new))
        if not frontier:
            break
        distances |= dict.fromkeys(frontier, hop)
    return distances


def _nearest(library: Library, session: Session, vector: np.ndarray | None) -> set[UUID]:
    if vector is None:
        return set()
    vectors = library.vectors()
    vectors.refresh(session)
    return {near.resource_id for near in vectors.nearest(vector, limit=NEAREST)}


def _vectors(session: Session, model_id: str, ids: Iterable[UUID]) -> Mapping[UUID, np.ndarray]:
    import numpy as np  # noqa: PLC0415 — only a process that compares documents loads it

    rows = select(Embedding.resource_id, Embedding.vector).where(
        Embedding.resource_id.in_(list(ids)), Embedding.model_id == model_id, Embedding.passage_count > 0
    )
    return {row.resource_id: np.frombuffer(row.vector, dtype="<f4") for row in session.execute(rows)}


def _described(ids: set[UUID]) -> Any:
    in_force = func.coalesce(func.nullif(Resource.classification_code, ""), ResourceCategory.predicted)
    columns = (Resource.id, Resource.title, Resource.creator, Resource.subject, in_force.label("code"))
    described = select(*columns).outerjoin(ResourceCategory, ResourceCategory.resource_id == Resource.id)
    return described.where(Resource.id.in_(ids), Resource.deleted_at.is_(None))


def _neighbor(
    tree: CategoryTree,
    own: Row[Any],
    row: Row[Any],
    *,
    vector: np.ndarray | None,
    other: np.ndarray | None,
    hops: int | None,
) -> dict[str, Any]:
    cosine = float(vector @ other) if vector is not None and other is not None else 0.0
    tags = jaccard(own.subject, row.subject)
    same_class = is_same_class(tree, own.code, row.code)
    return {
        "resource_id": str(row.id),
        "title": row.title,
        "creator": row.creator,
        "score": round(nearness(cosine=cosine, tags=tags, same_class=same_class, hops=hops), 6),
        "hops": hops,
        "cosine": round(cosine, 6),
        "tags": round(tags, 6),
        "same_class": same_class,
    }
