"""Embeddings: the vectors of a resource, built from its text and nothing else."""

from __future__ import annotations

from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.events.event_types import EventType
from app.models.base import now
from app.models.derived import DerivedKind, Embedding
from app.models.resource import Resource
from app.services import derived_states
from app.services.embedding_changes import next_change
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork


def regenerate(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Embed the text of a resource, unless its vectors are built from that text by this model already."""
    with library.database.reader() as session:
        source = _source(session, resource_id)
        known = session.get(Embedding, resource_id)
        state = derived_states.built_from(session, resource_id, DerivedKind.EMBEDDING)
    if source is None:
        with work():
            return
    text, version = source
    embedder = library.embedder()
    if known is not None and known.model_id == embedder.model_id and known.built_from == state == version:
        with work() as unit:
            unit.built(version)
            return
    vectors = embedder.embed(embedder.passages(text))
    with work() as unit:
        _store(unit, resource_id, vectors, model_id=embedder.model_id, dim=embedder.dimension, version=version)


def _source(session: Session, resource_id: UUID) -> tuple[str, int] | None:
    row = session.execute(
        select(Resource.content, Resource.content_version).where(
            Resource.id == resource_id, derived_states.has_content()
        )
    ).one_or_none()
    return (row.content or "", row.content_version) if row else None


def _store(unit: UnitOfWork, resource_id: UUID, vectors: np.ndarray, *, model_id: str, dim: int, version: int) -> None:
    session = unit.session
    if derived_states.lock_for_build(session, resource_id, DerivedKind.EMBEDDING, version=version) is None:
        return
    unit.built(version)
    known = session.get(Embedding, resource_id)
    state = derived_states.built_from(session, resource_id, DerivedKind.EMBEDDING)
    if known is not None and known.model_id == model_id and known.built_from == state == version:
        return  # of two executions at once, the other has written it
    row = known or Embedding(resource_id=resource_id)
    row.model_id, row.dim, row.built_from, row.updated_at = model_id, dim, version, now()
    row.passage_count = len(vectors)
    row.passages = vectors.astype("<f2").tobytes()
    row.vector = _mean(vectors, dim).astype("<f4").tobytes()
    row.change = next_change(session)
    session.add(row)
    derived_states.mark_built(session, resource_id, DerivedKind.EMBEDDING, version=version)
    unit.emit(
        EventType.EMBEDDING_GENERATED,
        {"resource_id": str(resource_id), "content_version": version, "model_id": model_id, "passages": len(vectors)},
    )


def _mean(vectors: np.ndarray, dim: int) -> np.ndarray:
    if not len(vectors):
        return np.zeros(dim, dtype=np.float32)
    mean = vectors.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12))
