"""Citations: what a resource cites, by which keys it and others are found, and the weight that citations give it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now

KEY_CHARS_MAX = 320


class ContentLinks(Base):
    """Hyperlinks of a document that was read: `href`, `text`, `position`. They belong to `content_version` alone."""

    __tablename__ = "content_links"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    content_version: Mapped[int]
    links: Mapped[list[Any]]


class CitationSet(Base):
    """That the citations of a resource are extracted, and from which version of its content."""

    __tablename__ = "citation_sets"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    built_from: Mapped[int]
    total: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Citation(Base):
    """One work that a resource cites, however often. `work` tells it from the others of the resource.

    `target_resource_id` is the resource that is this work, if the library has it: the resource itself where a document
    names itself, which is no edge of the graph.
    """

    __tablename__ = "citations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"))
    work: Mapped[str] = mapped_column(String(KEY_CHARS_MAX))
    type: Mapped[str] = mapped_column(String(16))
    doi: Mapped[str | None] = mapped_column(Text)
    arxiv_id: Mapped[str | None] = mapped_column(String(64))
    rfc: Mapped[int | None]
    pmid: Mapped[str | None] = mapped_column(String(16))
    isbn: Mapped[str | None] = mapped_column(String(16))
    url: Mapped[str | None] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(String(64))
    raw: Mapped[str] = mapped_column(Text)
    context: Mapped[str] = mapped_column(Text)
    position: Mapped[int]
    mentions: Mapped[int]
    target_resource_id: Mapped[UUID | None] = mapped_column(ForeignKey("resources.id", ondelete="SET NULL"))

    __table_args__ = (
        Index("uq_citations_resource_work", "resource_id", "work", unique=True),
        Index("ix_citations_resource_position", "resource_id", "position", "id"),
        Index("ix_citations_target", "target_resource_id", "id"),
    )


class CitationKey(Base):
    """A key by which a cited work may be found; `rank` 0 is the surest."""

    __tablename__ = "citation_keys"

    citation_id: Mapped[UUID] = mapped_column(ForeignKey("citations.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_CHARS_MAX), primary_key=True)
    rank: Mapped[int]

    __table_args__ = (Index("ix_citation_keys_key", "key"),)


class ResourceKey(Base):
    """A key by which a resource is found when it is cited."""

    __tablename__ = "resource_keys"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(KEY_CHARS_MAX), primary_key=True)

    __table_args__ = (Index("ix_resource_keys_key", "key", "resource_id"),)


class CitationRank(Base):
    """PageRank of a resource among all that cite or are cited; the sum over all of them is 1."""

    __tablename__ = "citation_ranks"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    score: Mapped[float] = mapped_column(Float)

    __table_args__ = (Index("ix_citation_ranks_score", "score"),)
