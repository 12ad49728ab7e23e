"""Search indexing: what of a resource is searched, and the index rebuilt from the resources."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, undefer

from app.cache.keys import ALL_SEARCH_QUERIES
from app.database import Database
from app.events.event_types import EventType
from app.index.documents import IndexedDocument
from app.index.search_index import PreparedDocument, SearchIndex
from app.models.derived import DerivedKind
from app.models.resource import Resource
from app.models.search import SearchDocument
from app.services import classification, derived_states, index_changes
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork

SLICE = 50
"""Resources indexed in one transaction of a rebuild: others write in between."""


def update(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Make the index say what the resource says, as the effect of a call.

    The document is read and cut into terms before the write transaction begins: others may write meanwhile, and
    what they change has a call of its own.
    """
    with library.database.reader() as session:
        resource = session.get(Resource, resource_id, options=[undefer(Resource.content)])
        done = resource is not None and _is_written(session, resource_id, version=resource.version)
    if resource is None:
        with work():
            return
    if done and resource.deleted_at is None:
        with work() as unit:
            unit.built(resource.version)
        return
    gone = resource.deleted_at is not None or resource.content_version == 0
    prepared = None if gone else library.index.prepare(document_of(resource))
    with work() as unit:
        if prepared is None:
            library.index.remove(unit.session, resource_id)
            unit.drop([ALL_SEARCH_QUERIES])  # what they suggest may have been a word of this document alone
        else:
            _write(unit, library.index, prepared)


def _write(unit: UnitOfWork, index: SearchIndex, prepared: PreparedDocument) -> None:
    resource_id, version = prepared.document.resource_id, prepared.document.built_from
    kind = DerivedKind.SEARCH_INDEX
    resource = derived_states.lock_for_build(unit.session, resource_id, kind, version=version)
    if resource is None:
        return
    if _is_written(unit.session, resource_id, version=version):
        unit.built(version)
        return
    before = index.entry(unit.session, resource_id)
    if index.write(unit.session, prepared):
        classification.tell_the_index(unit.session, resource)
        unit.built(version)
        derived_states.mark_built(unit.session, resource_id, kind, version=version)
        changed = before is None or before != index.entry(unit.session, resource_id)
        unit.emit(EventType.SEARCH_INDEX_UPDATED, {"resource_id": str(resource_id), "version": version})
        if changed:
            index_changes.note(unit.session, [resource_id])


def _is_written(session: Session, resource_id: UUID, *, version: int) -> bool:
    """Whether the index says what this version says; what is distrusted is to be written in any case."""
    row = session.scalars(select(SearchDocument).where(SearchDocument.resource_id == resource_id)).one_or_none()
    state = derived_states.built_in_force(session, resource_id, DerivedKind.SEARCH_INDEX)
    return row is not None and row.built_from == state == version and row.terms_sha256 != b""


def update_search_index(session: Session, index: SearchIndex, resource: Resource) -> bool:
    """Make the index say what the resource says. False: the index had a newer version already, nothing changed.

    A resource that is deleted, or has no content yet, is taken out.
    """
    if resource.deleted_at is not None or resource.content_version == 0:
        index.remove(session, resource.id)
        return True
    if not index.upsert(session, document_of(resource)):
        return False
    classification.tell_the_index(session, resource)
    return True


def document_of(resource: Resource) -> IndexedDocument:
    """The part of a resource that is searched."""
    creators = dict.fromkeys((resource.creator or "", *resource.authors))
    return IndexedDocument(
        resource_id=resource.id,
        built_from=resource.version,
        title=resource.title,
        body="\n".join(part for part in (resource.description, resource.content) if part),
        creator=resource.creator,
        other_creators=[name for name in creators if name and name != resource.creator],
        subjects=resource.subject,
        language=resource.language,
        type=resource.type,
        format=resource.format,
        publication_year=resource.publication_year,
        classification_code=resource.classification_code,
    )


def rebuild_search_index(database: Database, index: SearchIndex) -> int:
    """Index every resource anew and drop what is left of gone ones; the number of resources indexed.

    Slice by slice, each in its own transaction and each document replaced in place: searches find everything
    all the while, and an edit made meanwhile is never overwritten by what was read before it.
    """
    last: UUID | None = None
    indexed = 0
    while True:
        with database.writer() as session:
            slice_ = _after(session, last)
            index.distrust(session, [resource.id for resource in slice_])
            for resource in slice_:
                update_search_index(session, index, resource)
                indexed += resource.content_version > 0
            index_changes.note(session, [resource.id for resource in slice_])
        if not slice_:
            break
        last = slice_[-1].id
    with database.writer() as session:
        for orphan in session.scalars(_orphans()).all():
            index.remove(session, orphan)
        index.optimize(session)
    return indexed


def _after(session: Session, last: UUID | None) -> list[Resource]:
    statement = select(Resource).where(Resource.deleted_at.is_(None)).order_by(Resource.id).limit(SLICE)
    if last is not None:
        statement = statement.where(Resource.id > last)
    # Locked where the database locks rows: an edit waits for its slice, and then indexes itself over it.
    return list(session.scalars(statement.options(undefer(Resource.content)).with_for_update(of=Resource)))


def _orphans() -> Select[UUID]:
    live = select(Resource.id).where(Resource.deleted_at.is_(None), Resource.content_version > 0)
    return select(SearchDocument.resource_id).where(SearchDocument.resource_id.not_in(live))
