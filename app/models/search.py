"""The search index: what is filtered and counted, and the words it has seen.

The terms themselves are kept by the engine beside these tables, in `search_terms`: an FTS5 table on SQLite, a
table with a `tsvector` on PostgreSQL. `app.index.sqlite_fts` and `app.index.postgres_fts` create it; metadata
cannot express it.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class SearchDocument(Base):
    """One indexed resource. Values are as filters compare them: trimmed; language, type and format in lower case."""

    __tablename__ = "search_documents"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), unique=True)
    built_from: Mapped[int]
    terms_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    language: Mapped[str | None] = mapped_column(String(16))
    type: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(Text)
    creator: Mapped[str | None] = mapped_column(Text)
    publication_year: Mapped[int | None]
    classification_code: Mapped[str | None] = mapped_column(String(16))
    # Of Counter "search index": what is newer than a page of hits.
    change: Mapped[int] = mapped_column(default=0, server_default="0", index=True)


class SearchSubject(Base):
    """One subject of one indexed resource."""

    __tablename__ = "search_subjects"

    number: Mapped[int] = mapped_column(ForeignKey("search_documents.number", ondelete="CASCADE"), primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)

    __table_args__ = (Index("ix_search_subjects_subject", "subject"),)


class SearchWord(Base):
    """A word that some document had when it was indexed: where "did you mean" looks. Words only ever join."""

    __tablename__ = "search_words"

    # Compared by code point on both databases: words are looked up by their first letter.
    word: Mapped[str] = mapped_column(
        String(64).with_variant(String(64, collation="C"), "postgresql"), primary_key=True
    )
    size: Mapped[int]
