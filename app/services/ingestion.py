"""Ingestion: how a web page or an upload becomes the content of its resource.

The task fetches and reads the document, and writes it in the transaction of its effect. A document that cannot be
read is a result, not a failed call: its resource says `failed` and why (docs/adr/0007).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from app.content.document import ExtractedDocument, ExtractionLimits
from app.content.fetch_policy import FetchPolicy
from app.errors import DocumentError, PermanentError
from app.events.event_types import EventType
from app.events.execution import describe
from app.models.base import now
from app.models.outbox import OPEN_STATES, TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import derived_states, duplicates
from app.services.library import Library, Work
from app.services.taking_over import take_over
from app.services.unit_of_work import UnitOfWork
from app.settings import Settings
from app.tasks.task_names import TaskName

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
            if fail(unit, resource_id, describe(error), call_id=_call_of(unit), started=started):
                forget_upload(unit, resource_id)
        return
    with work() as unit:
        _write(unit, resource_id, reading, started=started, is_upload=source.upload is not None)


def fail(
    unit: UnitOfWork,
    resource_id: UUID,
    error: dict[str, str],
    *,
    call_id: UUID | None = None,
    started: datetime | None = None,
) -> bool:
    """The document cannot be had by this call: say so on its resource. What the resource held before stays.

    Without `started`, it is when the call was started last. While another call is to read it, it is pending still.
    Returns whether nobody is going to read it. The bytes of an upload stay: a dead call may be replayed.
    """
    resource = derived_states.lock_resource(unit.session, resource_id)
    if resource is None:
        return False
    if started is None and call_id is not None:
        started = unit.session.scalar(select(TaskCall.started_at).where(TaskCall.id == call_id))
    if _is_overtaken(resource, started):
        return False
    resource.ingestion_started_at, resource.ingestion_finished_at = started, now()
    is_final = not _is_to_be_read_again(unit.session, resource_id, call_id=call_id)
    if is_final:
        resource.ingestion_status, resource.ingestion_error = IngestionState.FAILED, dict(error)
    unit.emit(EventType.INGESTION_FAILED, {"resource_id": str(resource_id), "success": False, "error": error})
    return is_final


def await_reading(resource: Resource) -> None:
    """A call is to read the document of this locked resource again."""
    resource.ingestion_status, resource.ingestion_error = IngestionState.PENDING, None


def is_failed(resource: Resource) -> bool:
    """The document could not be had, and no call is going to try again."""
    return resource.ingestion_status == IngestionState.FAILED


def forget_upload(unit: UnitOfWork, resource_id: UUID) -> None:
    """The bytes of an upload that nobody is going to read."""
    unit.session.execute(delete(PendingUpload).where(PendingUpload.resource_id == resource_id))


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
        max_memory_bytes=settings.ingest_parse_memory_mib * 1024 * 1024,
    )


def _source(session: Session, resource_id: UUID) -> _Source | None:
    """What to read; each call for a web page is a request to fetch it, whatever came of earlier ones."""
    resource = session.get(Resource, resource_id)
    if resource is None or resource.deleted_at is not None:
        return None
    pending = session.get(PendingUpload, resource_id)
    if pending is None and resource.fetch_url is None and resource.ingestion_status != IngestionState.PENDING:
        return None  # an upload that is read already
    return _Source(
        url=resource.fetch_url,
        upload=Upload(data=pending.data, media_type=pending.media_type, file_name=pending.file_name)
        if pending
        else None,
        etag=resource.fetched_etag if resource.content_version else None,
        last_modified=resource.fetched_last_modified if resource.content_version else None,
    )


def _read(source: _Source, settings: Settings) -> _Reading:
    # Here: the readers of documents are a quarter of what the API and the relay would import, and they read none.
    from app.content.reader import read_document  # noqa: PLC0415
    from app.content.safe_fetch import fetch  # noqa: PLC0415

    limits = extraction_limits(settings)
    if source.upload is not None:
        upload = source.upload
        document = read_document(
            upload.data, declared_type=upload.media_type, file_name=upload.file_name, limits=limits
        )
        return _Reading(document=document)
    if source.url is None:
        raise DocumentError("the bytes of this upload are gone; send it again")
    policy = fetch_policy(settings)
    page = fetch(source.url, policy=policy, etag=source.etag, last_modified=source.last_modified)
    if page.not_modified:
        return _Reading(document=None, etag=source.etag, last_modified=source.last_modified)
    name = PurePosixPath(page.url.split("?")[0]).name
    document = read_document(
        page.body, declared_type=page.content_type, file_name=name, source_url=page.url, limits=limits
    )
    return _Reading(document=document, etag=page.etag, last_modified=page.last_modified)


def _write(unit: UnitOfWork, resource_id: UUID, reading: _Reading, *, started: datetime, is_upload: bool) -> None:
    text_sha256 = duplicates.fingerprint(reading.document.text) if reading.document is not None else ""
    if reading.document is not None:
        duplicates.hold(unit.session, text_sha256, leaving=resource_id)
    resource = derived_states.lock_resource(unit.session, resource_id)
    if resource is None or _is_overtaken(resource, started):
        return
    if is_upload and unit.session.get(PendingUpload, resource_id) is None:
        return  # another execution has read the same bytes meanwhile
    finished = now()
    again = resource.fetch_url is not None and _is_to_be_read_again(unit.session, resource_id, call_id=_call_of(unit))
    resource.ingestion_status = IngestionState.PENDING if again else IngestionState.COMPLETED
    resource.ingestion_error = None
    resource.ingestion_started_at, resource.ingestion_finished_at = started, finished
    resource.fetched_etag, resource.fetched_last_modified = reading.etag, reading.last_modified
    forget_upload(unit, resource_id)
    if reading.document is not None:
        take_over(unit, resource, reading.document, text_sha256=text_sha256, moment=finished)
    unit.built(resource.version)
    seconds = (finished - started).total_seconds()
    data = {"resource_id": str(resource_id), "duration_seconds": seconds, "success": True}
    unit.emit(EventType.INGESTION_COMPLETED, data)


def _is_overtaken(resource: Resource, started: datetime | None) -> bool:
    """Whether what a later reading found is written already: an older page must not replace a newer one."""
    last = resource.ingestion_started_at
    return started is not None and last is not None and started < last


def _is_to_be_read_again(session: Session, resource_id: UUID, *, call_id: UUID | None) -> bool:
    """Whether a call other than this one is open. Without a call, this reading was asked for by hand: the last one."""
    other = exists().where(
        TaskCall.subject == resource_id,
        TaskCall.task == TaskName.INGEST_RESOURCE,
        TaskCall.state.in_(OPEN_STATES),
        TaskCall.id != call_id,
    )
    return call_id is not None and bool(session.scalar(select(other)))


def _call_of(unit: UnitOfWork) -> UUID | None:
    return unit.call.id if unit.call else None
