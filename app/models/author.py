"""Authors: the persons and groups that names on documents stand for, and what people decided about them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, now


class DecisionKind(StrEnum):
    """What a person said: two names are one author, are two, or a name on one document is somebody else."""

    JOINED = "joined"
    PARTED = "parted"
    SOMEBODY_ELSE = "somebody_else"


class AuthorSet(Base):
    """That the authors of a resource are normalised, and from which version of them; they may be none."""

    __tablename__ = "author_sets"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    built_from: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Author(Base):
    """One author. `id` and `key` are those of the canonical variant; `orcid` is not unique: two may claim one."""

    __tablename__ = "authors"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    family: Mapped[str] = mapped_column(Text)
    given: Mapped[str] = mapped_column(Text, default="")
    particles: Mapped[str] = mapped_column(Text, default="")
    suffix: Mapped[str] = mapped_column(String(16), default="")
    orcid: Mapped[str | None] = mapped_column(String(19), index=True)
    is_group: Mapped[bool] = mapped_column(default=False)
    document_count: Mapped[int] = mapped_column(default=0)
    variant_count: Mapped[int] = mapped_column(default=1)

    __table_args__ = (Index("ix_authors_document_count_id", "document_count", "id"),)


class AuthorVariant(Base):
    """One full name, with its ORCID iD if it has one: `key` says which, and `id` is made of it.

    It belongs to an author for `reason`, since `since`; `linked_to` is the key of the variant that brought it there.
    `search` holds its words in small letters without diacritics, with a space before each.
    """

    __tablename__ = "author_variants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    author_id: Mapped[UUID] = mapped_column(ForeignKey("authors.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    block: Mapped[str] = mapped_column(Text, index=True)
    orcid: Mapped[str | None] = mapped_column(String(19), index=True)
    is_group: Mapped[bool] = mapped_column(default=False)
    search: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(String(16))
    linked_to: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[str | None] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(default=now)


class ResourceAuthor(Base):
    """A name on a resource, as it is given there; `source` is the field it is read from."""

    __tablename__ = "resource_authors"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID] = mapped_column(ForeignKey("author_variants.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(16))


class AuthorDecision(Base):
    """What a person said. Kept when the names it speaks of are on no document any more: they may come back.

    JOINED, PARTED: `first` and `second` are keys of variants, in order. SOMEBODY_ELSE: `first` is the key that the name
    has elsewhere, `second` the id of the resource, and `person` tells this author from others of the name.
    """

    __tablename__ = "author_decisions"

    kind: Mapped[DecisionKind] = mapped_column(String(16), primary_key=True)
    first: Mapped[str] = mapped_column(Text, primary_key=True)
    second: Mapped[str] = mapped_column(Text, primary_key=True)
    person: Mapped[str | None] = mapped_column(String(32))
    decided_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_author_decisions_second", "second"),)
