"""Requests to take a document in: by address, or by its bytes.

The resource, the bytes of an upload and `ingestion.requested` are stored in one commit; reading is a task's work
(`app.services.ingestion`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.content.fetch_policy import check_url
from app.errors import TooLarge
from app.events.event_types import EventType
from app.models.base import new_id
from app.models.outbox import TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services.ingestion import Upload, fetch_policy
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName

_MAX_KEY_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReceipt:
    """What became of a request. `call_id` is the call that reads the document, None if it is long gone."""

    resource_id: UUID
    call_id: UUID | None
    created: bool


def request_url(library: Library, url: str, *, refresh: bool = False, unit: UnitOfWork | None = None) -> IngestReceipt:
    """Take a page into the library; the same page again is the same resource.

    `refresh` fetches a known page again. Raises `FetchRefused` for an address that the policy forbids.
    """
    address = check_url(url, fetch_policy(library.settings))
    return _request(library, _key_of(address), source=address, upload=None, refresh=refresh, unit=unit)


def request_upload(
    library: Library, data: bytes, *, media_type: str | None, file_name: str | None, unit: UnitOfWork | None = None
) -> IngestReceipt:
    """Take an upload into the library; the same bytes again are the same resource."""
    if len(data) > library.settings.ingest_max_bytes:
        raise TooLarge(f"the document has {len(data)} bytes; the limit is {library.settings.ingest_max_bytes}")
    key = f"sha256:{hashlib.sha256(data).hexdigest()}"
    upload = Upload(data=data, media_type=media_type, file_name=file_name)
    return _request(library, key, source=None, upload=upload, refresh=False, unit=unit)


def _key_of(address: str) -> str:
    """By which the same page is known again. An index of PostgreSQL takes 2704 bytes, so a long address is hashed."""
    data = address.encode()
    return f"url:{address}" if len(data) <= _MAX_KEY_BYTES else f"url-sha256:{hashlib.sha256(data).hexdigest()}"


def _request(
    library: Library, key: str, *, source: str | None, upload: Upload | None, refresh: bool, unit: UnitOfWork | None
) -> IngestReceipt:
    if unit is not None:
        return _request_within(unit, key, source=source, upload=upload, refresh=refresh)
    try:
        with library.work() as own:
            return _request_within(own, key, source=source, upload=upload, refresh=refresh)
    except IntegrityError:  # the same document was requested at the same moment: now it is there
        with library.work() as own:
            return _request_within(own, key, source=source, upload=upload, refresh=refresh)


def _request_within(
    unit: UnitOfWork, key: str, *, source: str | None, upload: Upload | None, refresh: bool
) -> IngestReceipt:
    session = unit.session
    live = select(Resource).where(Resource.ingest_key == key, Resource.deleted_at.is_(None)).with_for_update()
    resource = session.scalars(live).one_or_none()
    created = resource is None
    if resource is None:
        resource = _new_resource(key, source=source, upload=upload)
        session.add(resource)
        session.flush()
    elif not refresh and resource.ingestion_status != IngestionState.FAILED:
        return IngestReceipt(resource_id=resource.id, call_id=_last_call(session, resource.id), created=False)
    if upload is not None:
        session.merge(
            PendingUpload(
                resource_id=resource.id, data=upload.data, media_type=upload.media_type, file_name=upload.file_name
            )
        )
    resource.ingestion_status, resource.ingestion_error = IngestionState.PENDING, None
    unit.emit(EventType.INGESTION_REQUESTED, {"resource_id": str(resource.id), "source": source or key})
    call = next(stored for stored in unit.store() if stored.task == TaskName.INGEST_RESOURCE)
    return IngestReceipt(resource_id=resource.id, call_id=call.id, created=created)


def _new_resource(key: str, *, source: str | None, upload: Upload | None) -> Resource:
    name = upload.file_name if upload else source
    return Resource(
        id=new_id(),
        title=PurePosixPath(name or "").name or name or "Untitled",
        source=source,
        ingest_key=key,
        fetch_url=source,
        ingestion_status=IngestionState.PENDING,
    )


def _last_call(session: Session, resource_id: UUID) -> UUID | None:
    newest = (
        select(TaskCall.id)
        .where(TaskCall.subject == resource_id, TaskCall.task == TaskName.INGEST_RESOURCE)
        .order_by(TaskCall.created_at.desc())
        .limit(1)
    )
    return session.scalar(newest)
