"""Resources: create, read, change and delete them, with everything a change causes in the same commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from app.cache.keys import resource_key
from app.content.document import normalise_text
from app.errors import InvalidInput, NotFound, PreconditionFailed, TooLarge, VersionConflict
from app.events.event_types import EventType
from app.models.base import new_id, now
from app.models.resource import IngestionState, Resource
from app.services import authors, citation_edges, duplicates, embedding_changes, identities
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork

METADATA = (
    *("title", "description", "creator", "publisher", "contributor", "subject", "date_created", "date_modified"),
    *("type", "format", "identifier", "source", "language", "coverage", "rights", "relation", "authors", "doi"),
    *("arxiv_id", "publication_year", "classification_code", "read_status"),
)
NAMES_AUTHORS = frozenset({"authors", "creator"})
"""What moves `authors_version`."""
WRITABLE = frozenset({*METADATA, "content"})
SUPERSEDES_CHARS_MAX = 100_000
"""Longest text that a request sends to the cache, which may not hold the resource at all."""
SUMMARY = (
    *("id", "version", "content_version", "metadata_version", *METADATA, "duplicate_of", "page_count"),
    *("ingestion_status", "ingestion_error", "created_at", "updated_at"),
)


def create(library: Library, fields: Mapping[str, Any], *, unit: UnitOfWork) -> dict[str, Any]:
    """A new resource as `describe` shows it. Raises `InvalidInput`, `TooLarge`."""
    _check(library, fields)
    values = {"content": "", **fields}
    sha256 = _fingerprint_of(values["content"])
    duplicates.hold(unit.session, sha256)
    moment = now()  # after the wait for another of the same text, so that the older one is the one that was there
    resource = Resource(
        **values,
        id=new_id(),
        version=1,
        content_version=1,
        metadata_version=1,
        authors_version=1,
        ingestion_status=IngestionState.COMPLETED,
        created_at=moment,
        updated_at=moment,
    )
    unit.session.add(resource)
    _mark(unit.session, resource, sha256)
    identities.record(unit.session, resource)
    names_authors = not authors.settle_if_none(unit.session, resource)
    unit.emit(EventType.RESOURCE_CREATED, event_data(resource) | {"names_authors": names_authors})
    return describe(resource)


def get(library: Library, resource_id: UUID) -> dict[str, Any]:
    """The resource as `describe` shows it; `NotFound`.

    The database says which version is current; the cache only saves reading it. Whose duplicate it is changes with
    other resources, without a new version.
    """
    current = select(Resource.version, Resource.ingestion_status, Resource.duplicate_of).where(
        Resource.id == resource_id, Resource.deleted_at.is_(None)
    )
    with library.database.reader() as session:
        row = session.execute(current).one_or_none()
    if row is None:
        raise _unknown(resource_id)
    if row.ingestion_status != IngestionState.COMPLETED:  # its progress moves without a new version
        return _read(library, resource_id)
    key = resource_key(str(resource_id))
    known = library.cache.get_or_compute(key, lambda: _read(library, resource_id), version=row.version)
    return {**known, "duplicate_of": row.duplicate_of}


def find(session: Session, resource_id: UUID, *, with_content: bool = False) -> Resource:
    """The live resource of this id; `NotFound`.

    `with_content`: its text is of the same statement. One that is read by a second may be that of a later version.
    """
    resource = session.get(Resource, resource_id, options=[undefer(Resource.content)] if with_content else [])
    if resource is None or resource.deleted_at is not None:
        raise _unknown(resource_id)
    return resource


def update(
    library: Library,
    resource_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
    accepted_versions: frozenset[int] | None = None,
) -> dict[str, Any]:
    """Change the named fields; fields that have their value already do not count, and may leave nothing to do.

    Raises `NotFound`, `VersionConflict` (`expected_version` is stale), `PreconditionFailed` (the version is not
    among `accepted_versions`), `InvalidInput`, `TooLarge`.
    """
    with library.work() as unit:
        return change(
            library,
            unit,
            resource_id,
            changes,
            expected_version=expected_version,
            accepted_versions=accepted_versions,
        )


def change(
    library: Library,
    unit: UnitOfWork,
    resource_id: UUID,
    changes: Mapping[str, Any],
    *,
    expected_version: int | None = None,
    accepted_versions: frozenset[int] | None = None,
) -> dict[str, Any]:
    """`update` as a part of a larger unit of work, which has locked no other resource."""
    _check(library, changes)
    sha256 = _fingerprint_of(changes.get("content", ""))
    if "content" in changes:
        duplicates.hold(unit.session, sha256, leaving=resource_id)
    resource = _lock(unit.session, resource_id)
    _require(resource, expected_version=expected_version, accepted_versions=accepted_versions)
    changed = [name for name, value in changes.items() if getattr(resource, name) != value]
    if changed:
        _apply(unit, resource, {name: changes[name] for name in changed}, content_sha256=sha256)
        _supersede(unit, resource)
    return describe(resource)


def delete(library: Library, resource_id: UUID, *, accepted_versions: frozenset[int] | None = None) -> None:
    """Leave a tombstone, swept later. Raises `NotFound`, `PreconditionFailed`."""
    with library.work() as unit:
        delete_within(unit, resource_id, accepted_versions=accepted_versions)


def delete_within(
    unit: UnitOfWork,
    resource_id: UUID,
    *,
    accepted_versions: frozenset[int] | None = None,
    expected_version: int | None = None,
) -> None:
    """`delete` as part of a unit of work that has locked no resource yet. Raises also `VersionConflict`."""
    duplicates.hold(unit.session, None, leaving=resource_id)
    resource = _lock(unit.session, resource_id)
    _require(resource, expected_version=expected_version, accepted_versions=accepted_versions)
    resource.version += 1
    resource.deleted_at = resource.updated_at = now()
    duplicates.regroup(unit.session, resource.content_sha256)
    embedding_changes.forget(unit.session, resource_id)  # its counter is locked after every resource, as by a build
    identities.forget(unit.session, resource_id)
    linked = citation_edges.is_linked(unit.session, resource_id)
    unit.emit(EventType.RESOURCE_DELETED, event_data(resource) | {"touches_graph": linked})


def _supersede(unit: UnitOfWork, resource: Resource) -> None:
    """Who reads it often finds it in the cache after the change as before; a long text is not sent there unasked."""
    if len(resource.content or "") <= SUPERSEDES_CHARS_MAX:
        unit.supersede(resource_key(str(resource.id)), describe(resource), version=resource.version)


def describe(resource: Resource) -> dict[str, Any]:
    """Every field that clients see."""
    return summarise(resource) | {"content": resource.content or ""}


def summarise(resource: Resource) -> dict[str, Any]:
    """Every field that clients see in a list: all but the content."""
    return {name: getattr(resource, name) for name in SUMMARY}


def _apply(unit: UnitOfWork, resource: Resource, changes: Mapping[str, Any], *, content_sha256: str | None) -> None:
    for name, value in changes.items():
        setattr(resource, name, value)
    resource.version += 1
    resource.updated_at = now()
    has_new_content, has_new_metadata = "content" in changes, not changes.keys() <= {"content"}
    resource.content_version += has_new_content
    resource.metadata_version += has_new_metadata
    has_new_authors = not NAMES_AUTHORS.isdisjoint(changes)
    resource.authors_version += has_new_authors
    if has_new_content:
        _mark(unit.session, resource, content_sha256)
    data = event_data(resource) | {"changed_fields": sorted(changes)}
    unit.emit(EventType.RESOURCE_UPDATED, data)
    if has_new_content:
        unit.emit(EventType.RESOURCE_CONTENT_CHANGED, data)
    if has_new_metadata:
        unit.emit(EventType.RESOURCE_METADATA_CHANGED, data)
        if identities.record(unit.session, resource):
            unit.emit(EventType.RESOURCE_IDENTITY_CHANGED, data)
    if has_new_authors:
        unit.emit(EventType.AUTHORS_EXTRACTED, data)


def _fingerprint_of(content: str) -> str | None:
    """Of the normalised text; None without any."""
    text = normalise_text(content)
    return duplicates.fingerprint(text) if text else None


def _mark(session: Session, resource: Resource, content_sha256: str | None) -> None:
    """Which text it has now, and whose duplicate it is; no text is nobody's."""
    before, resource.content_sha256 = resource.content_sha256, content_sha256
    resource.duplicate_of = resource.duplicate_of if content_sha256 else None
    duplicates.regroup(session, before, content_sha256)


def event_data(resource: Resource) -> dict[str, Any]:
    """What every event of a resource says: its id and its versions."""
    return {
        "resource_id": str(resource.id),
        "version": resource.version,
        "content_version": resource.content_version,
        "metadata_version": resource.metadata_version,
        "authors_version": resource.authors_version,
    }


def _read(library: Library, resource_id: UUID) -> dict[str, Any]:
    with library.database.reader() as session:
        return describe(find(session, resource_id, with_content=True))


def _lock(session: Session, resource_id: UUID) -> Resource:
    live = select(Resource).where(Resource.id == resource_id, Resource.deleted_at.is_(None))
    resource = session.scalars(live.options(undefer(Resource.content)).with_for_update()).one_or_none()
    if resource is None:
        raise _unknown(resource_id)
    return resource


def _require(resource: Resource, *, expected_version: int | None, accepted_versions: frozenset[int] | None) -> None:
    if accepted_versions is not None and resource.version not in accepted_versions:
        raise PreconditionFailed(f"the resource has version {resource.version} now")
    if expected_version is not None and resource.version != expected_version:
        raise VersionConflict(f"the resource has version {resource.version}, not {expected_version}")


def _check(library: Library, fields: Mapping[str, Any]) -> None:
    unknown = fields.keys() - WRITABLE
    if unknown:
        raise InvalidInput(f"not a writable field: {', '.join(sorted(unknown))}")
    for name, value in fields.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not is_storable(text):
                raise InvalidInput(f"{name} holds a NUL character or half of a surrogate pair")
    if len(fields.get("content", "")) > library.settings.ingest_max_text_chars:
        raise TooLarge(f"the content is longer than {library.settings.ingest_max_text_chars} characters")


def is_storable(text: str) -> bool:
    """Whether every database takes this text: no NUL, no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _unknown(resource_id: UUID) -> NotFound:
    return NotFound(f"there is no resource {resource_id}")
