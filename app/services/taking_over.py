"""What a document that was read changes on its resource: its text and metadata, never over a person's correction."""

from __future__ import annotations

from datetime import datetime

from app.content.document import ExtractedDocument
from app.events.event_types import EventType
from app.models.resource import Resource
from app.services import authors, citations, duplicates, identities
from app.services.unit_of_work import UnitOfWork


def take_over(
    unit: UnitOfWork, resource: Resource, document: ExtractedDocument, *, text_sha256: str, moment: datetime
) -> None:
    """Write text and metadata to the locked resource, and emit what that changes.

    The caller holds the text of that fingerprint, and the one the resource had, see `duplicates.hold`.
    """
    first = resource.content_version == 0
    changed = _fill_metadata(resource, document)
    if _take_text(unit, resource, document.text, found=text_sha256):
        changed.append("content")
        citations.keep_links(unit.session, resource, document)
    elif text_sha256 == resource.content_sha256:
        citations.take_links(unit, resource, document)
    if not changed:
        return
    resource.version += 1
    resource.updated_at = moment
    if changed != ["content"]:
        resource.metadata_version += 1
    has_new_authors = not {"authors", "creator"}.isdisjoint(changed)
    resource.authors_version += has_new_authors and not first
    data = {
        "resource_id": str(resource.id),
        "version": resource.version,
        "content_version": resource.content_version,
        "metadata_version": resource.metadata_version,
        "authors_version": resource.authors_version,
        "changed_fields": changed,
    }
    if has_new_authors:
        unit.emit(EventType.AUTHORS_EXTRACTED, data)
    is_known_otherwise = identities.record(unit.session, resource)
    if first:
        names_authors = not authors.settle_if_none(unit.session, resource)
        unit.emit(EventType.RESOURCE_CREATED, data | {"names_authors": names_authors})
        return
    unit.emit(EventType.RESOURCE_UPDATED, data)
    if "content" in changed:
        unit.emit(EventType.RESOURCE_CONTENT_CHANGED, data)
    if changed != ["content"]:
        unit.emit(EventType.RESOURCE_METADATA_CHANGED, data)
    if is_known_otherwise:
        unit.emit(EventType.RESOURCE_IDENTITY_CHANGED, data)


def _take_text(unit: UnitOfWork, resource: Resource, text: str, *, found: str) -> bool:
    """Whether the text was written: it is new, and nobody has put a text of their own in the place of the last one."""
    last, held = resource.fetched_sha256, resource.content_sha256
    resource.fetched_sha256 = found
    is_edited = resource.content_version > 0 and (last is None or held != last)
    if is_edited or found in {last, held}:
        return False
    resource.content, resource.content_sha256 = text, found
    resource.content_version += 1
    duplicates.regroup(unit.session, held, found)
    return True


def _fill_metadata(resource: Resource, document: ExtractedDocument) -> list[str]:
    """Only what is empty is filled, but on a first reading that nobody came before, where all is taken over."""
    untouched = resource.content_version == 0 and resource.version == resource.metadata_version == 1
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
        "doi": document.doi,
        "arxiv_id": document.arxiv_id,
    }
    changed = []
    for name, value in found.items():
        if value and value != getattr(resource, name) and (untouched or not getattr(resource, name)):
            setattr(resource, name, value)
            changed.append(name)
    return changed
