"""Neighbours of a resource: near in what they say, in how they are labelled, or by citations.

Candidates are what citations lead to in up to three hops, and what the vectors hold nearest: what shares a tag and
nothing else would cost a look at every resource, and tags alone make nobody near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select, union_all
from sqlalchemy.orm import Session

from app.cache.keys import graph_neighbors_key
from app.errors import EmbedderUnavailable
from app.index.matching import is_live
from app.knowledge.category_tree import CategoryTree
from app.knowledge.nearness import is_same_class, jaccard, nearness
from app.models.citation import Citation
from app.models.classification import ResourceCategory
from app.models.derived import Embedding
from app.models.resource import Resource
from app.services import category_codes, citation_edges, classifiers, embedding_changes
from app.services.library import Library

if TYPE_CHECKING:
    import numpy as np

HOPS_MAX = 3
LIMIT_MAX = 50
NEAREST = 100
FRONTIER = 300
"""Resources that one hop leads to at most: beyond a hub that everything cites, the next hop would be the library."""


def read(library: Library, resource_id: UUID, *, hops: int, limit: int) -> list[dict[str, Any]]:
    """The nearest, best first. Cached; whether the list still holds is asked of the database each time (ADR 0036)."""

    def compute() -> dict[str, Any]:
        with library.database.reader() as session:
            changes = _changes(session)  # before anything else is read
            distances = _reached(session, resource_id, hops=hops)
            vector = _vectors(session, library.embedding_model, [resource_id]).get(resource_id)
            try:
                nearest = _nearest(library, session, vector)
            except EmbedderUnavailable:  # by citations alone, and looked at anew by the next who asks
                changes, nearest = [], set()
            looked_at = sorted({*distances, *nearest, resource_id})
            rows = {row.id: row for row in session.execute(_described(looked_at))}
            items = _neighbors(library, session, resource_id, rows=rows, distances=distances, vector=vector)
        return {"changes": changes, "looked_at": _stamps(looked_at, rows), "items": items}

    def holds(kept: Mapping[str, Any]) -> bool:
        ids = [UUID(one) for one in kept["looked_at"]]
        with library.database.reader() as session:
            if _changes(session) != kept["changes"]:
                return False
            now = {row.id: row for row in session.execute(_stamped(ids))}
            return bool(_stamps(ids, now) == kept["looked_at"])

    key = f"{graph_neighbors_key(str(resource_id))}:{hops}:{library.embedding_model}:checked"
    items: list[dict[str, Any]] = library.cache.get_or_compute(key, compute, is_current=holds)["items"]
    return items[:limit]


def _changes(session: Session) -> list[int]:
    """Of vectors and of edges: only these bring other candidates. And of the tree, which says what is one class."""
    return [embedding_changes.newest(session), citation_edges.newest_change(session), classifiers.tree_changes(session)]


def _stamps(ids: Sequence[UUID], rows: Mapping[UUID, Any]) -> dict[str, list[Any] | None]:
    """Of what each is compared by; None for one that is deleted, which an import may bring back."""
    return {str(one): [rows[one].metadata_version, rows[one].code] if one in rows else None for one in ids}


def _neighbors(
    library: Library,
    session: Session,
    resource_id: UUID,
    *,
    rows: Mapping[UUID, Row[Any]],
    distances: Mapping[UUID, int],
    vector: np.ndarray | None,
) -> list[dict[str, Any]]:
    own = rows.get(resource_id)
    if own is None:
        return []
    vectors = _vectors(session, library.embedding_model, rows)
    tree = category_codes.tree(session)
    found = [
        _neighbor(tree, own, row, vector=vector, other=vectors.get(one), hops=distances.get(one))
        for one, row in rows.items()
        if one != resource_id
    ]
    return sorted(found, key=lambda item: (-item["score"], item["resource_id"]))[:LIMIT_MAX]


def _reached(session: Session, resource_id: UUID, *, hops: int) -> dict[UUID, int]:
    """Resources that citations, followed either way, lead to in so many hops at least, over nothing that is deleted.

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
        new = select(rows.c.id, is_live(rows.c.id).label("lives")).where(rows.c.id.not_in(seen)).distinct()
        found = session.execute(new.order_by(rows.c.id).limit(FRONTIER)).all()
        distances |= {row.id: hop for row in found}  # also of who is deleted, and may come back
        frontier = {row.id for row in found if row.lives}
        if not frontier:
            break
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


def _described(ids: Sequence[UUID]) -> Any:
    columns = (Resource.title, Resource.creator, Resource.subject)
    return _stamped(ids).add_columns(*columns)


def _stamped(ids: Sequence[UUID]) -> Any:
    """What tells whether any of them is compared by something else than before: metadata, and the class in force."""
    in_force = func.coalesce(func.nullif(Resource.classification_code, ""), ResourceCategory.predicted)
    stamped = select(Resource.id, Resource.metadata_version, in_force.label("code"))
    with_class = stamped.outerjoin(ResourceCategory, ResourceCategory.resource_id == Resource.id)
    return with_class.where(Resource.id.in_(ids), _is_live())


def _is_live() -> ColumnElement[bool]:
    return Resource.deleted_at.is_(None)


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
