"""Resources in an archive: kept with their ids and versions, and everything derived from them built anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, NonNegativeInt
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session, undefer

from app.content.document import normalise_text
from app.errors import InvalidInput
from app.events.event_types import EventType
from app.models.base import Base, now
from app.models.resource import IngestionState, PendingUpload, Resource
from app.schemas.resource import ReadStatus
from app.services import citations, duplicates, identities, index_changes, resources
from app.services.archive_records import Outcome, TableRecords
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork

VERSIONS = ("version", "content_version", "metadata_version", "authors_version")
VERSION_MAX = 1_000_000_000
"""Half of what the columns hold: there is room to count on."""


class UploadRecord(BaseModel):
    """The bytes of a document that nobody has read yet."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes
    media_type: str | None = None
    file_name: str | None = None


class LinkRecord(BaseModel):
    """A hyperlink of the text. `position` is where it stands, in characters."""

    model_config = ConfigDict(extra="forbid")

    href: str
    text: str
    position: NonNegativeInt


class ResourceRecords(TableRecords):
    """Live resources. Whose duplicate one is, is told by the texts that are there."""

    left_out = frozenset(("deleted_at", "duplicate_of"))

    def where(self) -> Sequence[ColumnElement[bool]]:
        """A deleted one is none."""
        return (Resource.deleted_at.is_(None),)

    def more_fields(self) -> dict[str, Any]:
        """With `upload` and `links`; an export from before there were links has none."""
        return {"upload": (UploadRecord | None, None), "links": (list[LinkRecord] | None, None)}

    def more_values(self, session: Session, row: Base) -> dict[str, Any]:
        """The bytes while it waits to be read, and the links, which its text no longer shows."""
        assert isinstance(row, Resource)
        pending = session.get(PendingUpload, row.id)
        return {
            "upload": UploadRecord.model_validate(pending) if pending is not None else None,
            "links": citations.plain_links(session, row),
        }

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """A new id is created; an older version is updated; a deleted one comes back, as its next version."""
        _check(library, values)
        record = {name: value for name, value in values.items() if name not in {"upload", "links"}}
        with library.work() as unit:
            duplicates.hold(unit.session, record["content_sha256"], leaving=record["id"])
            row = _locked(unit.session, record["id"])
            if row is not None and row.deleted_at is None and row.version >= record["version"]:
                return Outcome.UNCHANGED if self.is_same(row, record) else Outcome.KEPT
            _refuse_another_of_its_key(unit.session, record)
            outcome = Outcome.CREATED if row is None or row.deleted_at is not None else Outcome.UPDATED
            if not is_only_checked:
                is_back = row is not None and row.deleted_at is not None
                if is_back:
                    library.index.distrust(unit.session, [record["id"]])  # it may be indexed still, and is found again
                _write(unit, row, record, upload=values["upload"], links=values["links"])
                if is_back:
                    index_changes.note(unit.session, [record["id"]])  # at once, and on pages that were kept without it
            return outcome


def _check(library: Library, values: Mapping[str, Any]) -> None:
    text = normalise_text(values["content"] or "")
    if values["content_sha256"] != (duplicates.fingerprint(text) if text else None):
        raise InvalidInput("content_sha256: it is not that of the content, so the line is damaged")
    if len(values["content"] or "") > library.settings.ingest_max_text_chars:
        raise InvalidInput(f"content: it is longer than {library.settings.ingest_max_text_chars} characters")
    if any(values[name] < (0 if name == "content_version" else 1) for name in VERSIONS):
        raise InvalidInput("version: versions begin at 1")
    if any(values[name] > VERSION_MAX for name in VERSIONS):
        raise InvalidInput(f"version: it is beyond {VERSION_MAX}")
    if text and values["content_version"] == 0:
        raise InvalidInput("content_version: it is 0, and there is a content")
    if values["ingestion_status"] == IngestionState.RUNNING or values["read_status"] not in get_args(ReadStatus):
        raise InvalidInput("ingestion_status or read_status: no library has such a document")


def _locked(session: Session, resource_id: UUID) -> Resource | None:
    chosen = select(Resource).where(Resource.id == resource_id).options(undefer(Resource.content)).with_for_update()
    return session.scalars(chosen).one_or_none()


def _refuse_another_of_its_key(session: Session, record: Mapping[str, Any]) -> None:
    if record["ingest_key"] is None:
        return
    same = select(Resource.id).where(Resource.ingest_key == record["ingest_key"], Resource.deleted_at.is_(None))
    other = session.scalar(same.where(Resource.id != record["id"]))
    if other is not None:
        raise InvalidInput(f"ingest_key: the same document is in the library already, as {other}")


def _write(
    unit: UnitOfWork,
    row: Resource | None,
    record: Mapping[str, Any],
    *,
    upload: UploadRecord | None,
    links: Sequence[LinkRecord] | None,
) -> None:
    known_links = _links(unit.session, row, record, links)
    before = row.content_sha256 if row is not None else None
    is_new = row is None or row.deleted_at is not None
    versions = {} if row is None else _versions(row, record)
    if row is None:
        row = Resource(id=record["id"])
        unit.session.add(row)
    for name, value in {**record, **versions}.items():
        setattr(row, name, value)
    row.deleted_at = row.duplicate_of = None
    unit.session.flush()
    duplicates.regroup(unit.session, before, row.content_sha256)
    _restore_upload(unit.session, row.id, upload)
    citations.restore_links(unit.session, row, known_links)
    is_known_otherwise = identities.record(unit.session, row)
    data = resources.event_data(row)
    if row.content_version > 0:
        _tell(unit, data, is_new=is_new)
        if is_known_otherwise and not is_new:
            unit.emit(EventType.RESOURCE_IDENTITY_CHANGED, data)
    if row.ingestion_status == IngestionState.PENDING:
        unit.emit(EventType.INGESTION_REQUESTED, {"resource_id": str(row.id), "source": row.source or row.ingest_key})


def _links(
    session: Session, row: Resource | None, record: Mapping[str, Any], links: Sequence[LinkRecord] | None
) -> list[dict[str, Any]]:
    """Those of the record; where it says nothing, those that are known of the same text."""
    if links is not None:
        return [link.model_dump() for link in links]
    return citations.plain_links(session, row) if row is not None and row.content == record["content"] else []


def _versions(row: Resource, record: Mapping[str, Any]) -> dict[str, int]:
    """Those of the record, but never one that something else was derived from."""
    is_back = row.deleted_at is not None
    differ = {name for name in (*resources.METADATA, "content") if getattr(row, name) != record[name]}
    moved = {
        "version": True,
        "content_version": is_back or "content" in differ,
        "metadata_version": is_back or bool(differ - {"content"}),
        "authors_version": is_back or not resources.NAMES_AUTHORS.isdisjoint(differ),
    }
    return {name: max(record[name], getattr(row, name) + moved[name]) for name in VERSIONS}


def _tell(unit: UnitOfWork, data: dict[str, Any], *, is_new: bool) -> None:
    if is_new:
        unit.emit(EventType.RESOURCE_CREATED, data)
        return
    changed = {**data, "changed_fields": sorted((*resources.METADATA, "content"))}
    for name in (
        EventType.RESOURCE_UPDATED,
        EventType.RESOURCE_CONTENT_CHANGED,
        EventType.RESOURCE_METADATA_CHANGED,
        EventType.AUTHORS_EXTRACTED,
    ):
        unit.emit(name, changed)


def _restore_upload(session: Session, resource_id: UUID, upload: UploadRecord | None) -> None:
    session.execute(delete(PendingUpload).where(PendingUpload.resource_id == resource_id))
    if upload is not None:
        session.add(PendingUpload(resource_id=resource_id, created_at=now(), **upload.model_dump()))
