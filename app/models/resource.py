"""Resources: documents of the library, and the bytes still on their way into it."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, deferred, mapped_column

from app.models.base import Base, new_id, now


class IngestionState(StrEnum):
    """Where a document is on its way in."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Resource(Base):
    """One document with its Dublin Core metadata.

    `version` moves with every change (the ETag), `content_version` with the text, `metadata_version`
    with the metadata, `authors_version` with `authors` and `creator`.
    `content_version` is 0 until the resource has content: nothing is derived before.
    `fetch_url` is the address that was asked for; `source` may be edited. `fetched_sha256` is of the last text read.
    """

    __tablename__ = "resources"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(default=1)
    content_version: Mapped[int] = mapped_column(default=0)
    metadata_version: Mapped[int] = mapped_column(default=1)
    authors_version: Mapped[int] = mapped_column(default=1, server_default="1")

    title: Mapped[str] = mapped_column(Text, default="")
    description: Mapped[str | None] = mapped_column(Text)
    creator: Mapped[str | None] = mapped_column(Text)
    publisher: Mapped[str | None] = mapped_column(Text)
    contributor: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[list[str]] = mapped_column(default=list)
    date_created: Mapped[date | None]
    date_modified: Mapped[date | None]
    type: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(Text)
    identifier: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(String(16))
    coverage: Mapped[str | None] = mapped_column(Text)
    rights: Mapped[str | None] = mapped_column(Text)
    relation: Mapped[list[str]] = mapped_column(default=list)

    content: Mapped[str | None] = deferred(mapped_column(Text))
    content_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    authors: Mapped[list[str]] = mapped_column(default=list)
    doi: Mapped[str | None] = mapped_column(Text)
    arxiv_id: Mapped[str | None] = mapped_column(Text)
    publication_year: Mapped[int | None]
    classification_code: Mapped[str | None] = mapped_column(String(16))
    read_status: Mapped[str] = mapped_column(String(16), default="unread")
    duplicate_of: Mapped[UUID | None] = mapped_column(ForeignKey("resources.id", ondelete="SET NULL"))

    ingest_key: Mapped[str | None] = mapped_column(Text)
    fetch_url: Mapped[str | None] = mapped_column(Text)
    ingestion_status: Mapped[IngestionState] = mapped_column(String(16), default=IngestionState.COMPLETED)
    ingestion_error: Mapped[dict[str, Any] | None]
    ingestion_started_at: Mapped[datetime | None]
    ingestion_finished_at: Mapped[datetime | None]
    fetched_etag: Mapped[str | None] = mapped_column(Text)
    fetched_last_modified: Mapped[str | None] = mapped_column(Text)
    fetched_sha256: Mapped[str | None] = mapped_column(String(64))
    page_count: Mapped[int | None]

    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        # A deleted resource frees its key: the same page may come back as a new resource.
        Index(
            "uq_resources_ingest_key_live",
            "ingest_key",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            sqlite_where=text("deleted_at IS NULL"),
        ),
        Index("ix_resources_created_at_id", "created_at", "id"),
        Index("ix_resources_updated_at_id", "updated_at", "id"),
        Index("ix_resources_duplicate_of", "duplicate_of"),  # for ON DELETE SET NULL
        # With the living in it, SQLite would take it for "deleted_at IS NULL" before any other, and read all of them.
        Index(
            "ix_resources_deleted_at",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL"),
            sqlite_where=text("deleted_at IS NOT NULL"),
        ),
    )


class PendingUpload(Base):
    """The bytes of an upload, in the same commit as the call that will read them; gone once read."""

    __tablename__ = "pending_uploads"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    media_type: Mapped[str | None] = mapped_column(Text)
    file_name: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
