"""Ingestion: how a web page or an upload becomes the content of its resource.

The task fetches and reads the document, and writes it in the transaction of its effect. A document that cannot be
read is a result, not a failed call: its resource says `failed` and why (docs/adr/0007).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.extraction import extract
from app.content.safe_fetch import FetchPolicy, fetch
from app.errors import DocumentError, PermanentError
from app.events.event_types import EventType
from app.events.execution import describe
from app.models.base import now
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import derived_states
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from app.settings import Settings

USER_AGENT = "NeoAlexandria/0.1 (+knowledge library)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The bytes of a document and what their sender said of them."""

    data: bytes
    media_type: str | None
    file_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a resource's document comes from, and what is known of its last fetch."""

    url: str | None
    upload: Upload | None
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A document as it was read; `document` is None when the web server said that nothing has changed."""

    document: ExtractedDocument | None
    etag: str | None = None
    last_modified: str | None = None


def ingest(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Read the document of a resource and write it; raises `TransientError` when a later try may succeed."""
    started = now()
    with library.database.reader() as session:
        source = _source(session, resource_id)
    if source is None:
        with work():
            return
    try:
        reading = _read(source, library.settings)
    except PermanentError as error:
        with work() as unit:
            fail(unit, resource_id, describe(error))
        return
    with work() as unit:
        _write(unit, resource_id, reading, started=started)


def fail(unit: UnitOfWork, resource_id: UUID, error: dict[str, str]) -> None:
    """The document cannot be had: say so on its resource. What the resource held before stays."""
    resource = derived_states.lock_resource(unit.session, resource_id)
    if resource is None:
        return
    resource.ingestion_status = IngestionState.FAILED
    resource.ingestion_error = dict(error)
    resource.ingestion_finished_at = now()
    unit.session.execute(delete(PendingUpload).where(PendingUpload.resource_id == resource_id))
    unit.emit(EventType.INGESTION_FAILED, {"resource_id": str(resource_id), "success": False, "error": error})


def fetch_policy(settings: Settings) -> FetchPolicy:
    """What may be fetched, as the settings say."""
    return FetchPolicy(
        allowed_private_hosts=settings.ingest_allowed_private_hosts,
        allowed_ports=settings.ingest_allowed_ports,
        max_bytes=settings.ingest_max_bytes,
        max_redirects=settings.ingest_max_redirects,
        timeout_seconds=settings.ingest_fetch_timeout_seconds,
        user_agent=USER_AGENT,
    )


def extraction_limits(settings: Settings) -> ExtractionLimits:
    """How much a document may cost, as the settings say."""
    return ExtractionLimits(
        max_bytes=settings.ingest_max_bytes,
        max_pages=settings.ingest_max_pages,
        max_text_chars=settings.ingest_max_text_chars,
        timeout_seconds=settings.ingest_parse_timeout_seconds,
    )


def _source(session: Session, resource_id: UUID) -> _Source | None:
    resource = session.get(Resource, resource_id)
    if resource is None or resource.deleted_at is not None or resource.ingestion_status != IngestionState.PENDING:
        return None
    pending = session.get(PendingUpload, resource_id)
    return _Source(
        url=resource.source,
        upload=Upload(data=pending.data, media_type=pending.media_type, file_name=pending.file_name)
        if pending
        else None,
        etag=resource.fetched_etag if resource.content_version else None,
        last_modified=resource.fetched_last_modified if resource.content_version else None,
    )


def _read(source: _Source, settings: Settings) -> _Reading:
    limits = extraction_limits(settings)
    if source.upload is not None:
        upload = source.upload
        document = extract(upload.data, declared_type=upload.media_type, file_name=upload.file_name, limits=limits)
        return _Reading(document=document)
    if source.url is None:
        raise DocumentError("the bytes of this upload are gone; send it again")
    policy = fetch_policy(settings)
    page = fetch(source.url, policy=policy, etag=source.etag, last_modified=source.last_modified)
    if page.not_modified:
        return _Reading(document=None, etag=source.etag, last_modified=source.last_modified)
    name = PurePosixPath(page.url.split("?")[0]).name
    document = extract(page.body, declared_type=page.media_type, file_name=name, source_url=page.url, limits=limits)
    return _Reading(document=document, etag=page.etag, last_modified=page.last_modified)


def _write(unit: UnitOfWork, resource_id: UUID, reading: _Reading, *, started: datetime) -> None:
    resource = derived_states.lock_resource(unit.session, resource_id)
    if resource is None:
        return
    finished = now()
    resource.ingestion_status, resource.ingestion_error = IngestionState.COMPLETED, None
    resource.ingestion_started_at, resource.ingestion_finished_at = started, finished
    resource.fetched_etag, resource.fetched_last_modified = reading.etag, reading.last_modified
    unit.session.execute(delete(PendingUpload).where(PendingUpload.resource_id == resource_id))
    if reading.document is not None:
        _take_over(unit, resource, reading.document, moment=finished)
    unit.built(resource.version)
    seconds = (finished - started).total_seconds()
    data = {"resource_id": str(resource_id), "duration_seconds": seconds, "success": True}
    unit.emit(EventType.INGESTION_COMPLETED, data)


def _take_over(unit: UnitOfWork, resource: Resource, document: ExtractedDocument, *, moment: datetime) -> None:
    """Write text and metadata. On a refresh the metadata that is there stays: somebody may have corrected it."""
    sha256 = hashlib.sha256(document.text.encode()).hexdigest()
    first, same = resource.content_version == 0, resource.content_sha256 == sha256
    changed = _fill_metadata(resource, document, first=first)
    if not same or first:
        resource.content, resource.content_sha256 = document.text, sha256
        resource.content_version += 1
        resource.duplicate_of = oldest_with(unit.session, sha256, other_than=resource.id)
        changed.append("content")
    if not changed:
        return
    resource.version += 1
    resource.updated_at = moment
    if changed != ["content"]:
        resource.metadata_version += 1
    data = {
        "resource_id": str(resource.id),
        "version": resource.version,
        "content_version": resource.content_version,
        "metadata_version": resource.metadata_version,
        "changed_fields": changed,
    }
    if first:
        unit.emit(EventType.RESOURCE_CREATED, data)
        return
    unit.emit(EventType.RESOURCE_UPDATED, data)
    if "content" in changed:
        unit.emit(EventType.RESOURCE_CONTENT_CHANGED, data)
    if changed != ["content"]:
        unit.emit(EventType.RESOURCE_METADATA_CHANGED, data)


def _fill_metadata(resource: Resource, document: ExtractedDocument, *, first: bool) -> list[str]:
    found = {
        "title": document.title,
        "description": document.description,
        "publisher": document.publisher,
        "creator": "; ".join(document.authors) or None,
        "authors": list(document.authors),
        "subject": list(document.subjects),
        "date_created": document.date_created,
        "date_modified": document.date_modified,
        "publication_year": document.date_created.year if document.date_created else None,
        "language": document.language,
        "format": document.media_type,
        "page_count": document.page_count,
    }
    changed = []
    for name, value in found.items():
        if value and value != getattr(resource, name) and (first or not getattr(resource, name)):
            setattr(resource, name, value)
            changed.append(name)
    return changed


def oldest_with(session: Session, content_sha256: str, *, other_than: UUID) -> UUID | None:
    """The oldest live resource with the same text: what a duplicate is a duplicate of."""
    same = (
        select(Resource.id)
        .where(Resource.content_sha256 == content_sha256, Resource.id != other_than, Resource.deleted_at.is_(None))
        .order_by(Resource.created_at)
        .limit(1)
    )
    return session.scalar(same)
