"""Derived data: what is computed from a resource, and from which of its versions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now


class DerivedKind(StrEnum):
    """What is kept true for every resource."""

    SEARCH_INDEX = "search_index"
    EMBEDDING = "embedding"
    QUALITY = "quality"
    AUTHORS = "authors"
    CLASSIFICATION = "classification"
    CITATIONS = "citations"


class DerivedState(Base):
    """The newest input version a derived kind was built from, and the last failure since, if any.

    `revision`: of the algorithm that built it, see `services.derived_states`.
    """

    __tablename__ = "derived_states"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[DerivedKind] = mapped_column(String(32), primary_key=True)
    built_from: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    failed_version: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[dict[str, Any] | None]
    updated_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_derived_states_kind", "kind"),)


class Embedding(Base):
    """Vectors of one resource: its mean, and one a passage.

    `vector`: `dim` little-endian float32, unit length. `passages`: `passage_count * dim` little-endian
    float16, each row of unit length. Vectors of different `model_id` are never compared.
    """

    __tablename__ = "embeddings"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(128))
    dim: Mapped[int]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    passage_count: Mapped[int]
    passages: Mapped[bytes] = mapped_column(LargeBinary)
    built_from: Mapped[int]
    change: Mapped[int] = mapped_column(index=True)  # of Counter "embeddings": what is newer than a matrix
    updated_at: Mapped[datetime] = mapped_column(default=now)

    # Whether an embedding is stale is asked of all of them; the vectors are not read for it.
    __table_args__ = (Index("ix_embeddings_staleness", "resource_id", "built_from", "model_id"),)


class QualityScore(Base):
    """Five dimensions and their weighted mean, each in 0..1."""

    __tablename__ = "quality_scores"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    accuracy: Mapped[float] = mapped_column(Float)
    completeness: Mapped[float] = mapped_column(Float)
    consistency: Mapped[float] = mapped_column(Float)
    timeliness: Mapped[float] = mapped_column(Float)
    relevance: Mapped[float] = mapped_column(Float)
    overall: Mapped[float] = mapped_column(Float, index=True)
    weights: Mapped[dict[str, Any]]
    reasons: Mapped[list[str]] = mapped_column(default=list)
    built_from: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class QualityHistory(Base):
    """One row for each score that was ever given: what degradation is measured against."""

    __tablename__ = "quality_history"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"))
    scores: Mapped[dict[str, Any]]
    built_from: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        Index("ix_quality_history_resource_at", "resource_id", "at"),
        Index("ix_quality_history_at", "at"),  # what is past its retention
    )


class Counter(Base):
    """A named counter, moved inside the transaction it counts: its order is the order of commits."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(default=0)
