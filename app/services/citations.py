"""Citations: the works that a resource cites, extracted from its text and links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, undefer

from app.content.document import ExtractedDocument
from app.events.event_types import EventType
from app.events.hooks import rebuild
from app.knowledge.citations.extraction import CitedWork, cited_works
from app.knowledge.citations.identifiers import rank_of
from app.knowledge.citations.link import Link
from app.models.base import new_id, now
from app.models.citation import Citation, CitationKey, CitationSet, ContentLinks
from app.models.derived import DerivedKind
from app.models.resource import Resource
from app.services import citation_edges, derived_states, identities
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork

_FIELDS = (
    *("type", "doi", "arxiv_id", "rfc", "pmid", "isbn", "url", "label", "raw", "context", "position", "mentions"),
)


def extract(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Extract the citations of a resource, unless they are built from this text already."""
    with library.database.reader() as session:
        resource = session.scalars(
            select(Resource)
            .where(Resource.id == resource_id, derived_states.has_content())
            .options(undefer(Resource.content))
        ).one_or_none()
        known = session.get(CitationSet, resource_id)
        state = derived_states.built_in_force(session, resource_id, DerivedKind.CITATIONS)
        links = plain_links(session, resource) if resource else []
    if resource is None:
        with work():
            return
    version = resource.content_version
    if known is not None and known.built_from == state == version:
        with work() as unit:
            unit.built(version)
            return
    works = cited_works(resource.content or "", [Link(**link) for link in links])
    with work() as unit:
        _store(unit, resource_id, works, version=version, links=links)


def keep_links(session: Session, resource: Resource, document: ExtractedDocument) -> None:
    """Store the hyperlinks of the text that the locked resource has now. Those of an older text count no more."""
    restore_links(session, resource, _links_in(document))


def take_links(unit: UnitOfWork, resource: Resource, document: ExtractedDocument) -> None:
    """The document has the text that the locked resource has: if its links are others, call for an extraction.

    No version moves: what is built from the text alone stays as it is.
    """
    if plain_links(unit.session, resource) == _links_in(document):
        return
    keep_links(unit.session, resource, document)
    unit.enqueue(rebuild(DerivedKind.CITATIONS, str(resource.id), version=resource.content_version))


def _links_in(document: ExtractedDocument) -> list[dict[str, Any]]:
    return [{"href": link.href, "text": link.text, "position": link.position} for link in document.links]


def restore_links(session: Session, resource: Resource, links: list[dict[str, Any]]) -> None:
    """`keep_links` of what `plain_links` gave. Citations of this version of the text are stale if it had others."""
    built = derived_states.built_from(session, resource.id, DerivedKind.CITATIONS)
    if built == resource.content_version and plain_links(session, resource) != links:
        derived_states.distrust(session, resource.id, DerivedKind.CITATIONS)
    row = session.get(ContentLinks, resource.id) or ContentLinks(resource_id=resource.id)
    row.content_version, row.links = resource.content_version, links
    session.add(row)


def plain_links(session: Session, resource: Resource) -> list[dict[str, Any]]:
    """The hyperlinks of the text that the resource has now: `href`, `text`, `position`."""
    row = session.get(ContentLinks, resource.id)
    return row.links if row is not None and row.content_version == resource.content_version else []


def _store(
    unit: UnitOfWork, resource_id: UUID, works: Sequence[CitedWork], *, version: int, links: list[dict[str, Any]]
) -> None:
    """A work that was cited before keeps its row, and with it the resource it was found to be.

    Nothing is written of `links` that are no more those of this version: who changed them has called for another run.
    """
    session = unit.session
    citation_edges.hold(session)
    resource = derived_states.lock_for_build(session, resource_id, DerivedKind.CITATIONS, version=version)
    if resource is None or (resource.content_version == version and plain_links(session, resource) != links):
        return
    identities.record(session, resource)  # for a library from before there were any
    unit.built(version)
    known = session.get(CitationSet, resource_id)
    state = derived_states.built_in_force(session, resource_id, DerivedKind.CITATIONS)
    if known is not None and known.built_from == state == version:
        return  # of two executions at once, the other has written it
    held = {row.work: row for row in session.scalars(select(Citation).where(Citation.resource_id == resource_id))}
    wanted = {one.work: one for one in works}
    gone = [row for work, row in held.items() if work not in wanted]
    removed = [
        (resource_id, row.target_resource_id) for row in gone if row.target_resource_id not in {None, resource_id}
    ]
    session.execute(delete(Citation).where(Citation.id.in_([row.id for row in gone])))
    rows = {work: held.get(work) or Citation(id=new_id(), resource_id=resource_id, work=work) for work in wanted}
    for work, row in rows.items():
        for name in _FIELDS:
            setattr(row, name, getattr(wanted[work], name))
    session.add_all(rows.values())
    session.flush()
    _store_keys(session, [(rows[work].id, one.keys) for work, one in wanted.items()])
    _mark(session, resource_id, total=len(works), version=version)
    citation_edges.tell_removed(unit, resource_id, removed)
    data = {
        "resource_id": str(resource_id),
        "content_version": version,
        "count": len(works),
        "touches_graph": citation_edges.touches(session, resource_id),
    }
    unit.emit(EventType.CITATIONS_EXTRACTED, data)


def _store_keys(session: Session, wanted: Iterable[tuple[UUID, tuple[str, ...]]]) -> None:
    wanted = list(wanted)
    ids = [citation_id for citation_id, _ in wanted]
    held = {
        (row.citation_id, row.key)
        for row in session.scalars(select(CitationKey).where(CitationKey.citation_id.in_(ids)))
    }
    new = {(citation_id, key) for citation_id, keys in wanted for key in keys}
    by_id: dict[UUID, list[str]] = {}
    for citation_id, key in held - new:
        by_id.setdefault(citation_id, []).append(key)
    for citation_id, keys in by_id.items():
        session.execute(delete(CitationKey).where(CitationKey.citation_id == citation_id, CitationKey.key.in_(keys)))
    session.add_all(
        CitationKey(citation_id=citation_id, key=key, rank=rank_of(key)) for citation_id, key in sorted(new - held)
    )
    session.flush()


def _mark(session: Session, resource_id: UUID, *, total: int, version: int) -> None:
    row = session.get(CitationSet, resource_id) or CitationSet(resource_id=resource_id)
    row.built_from, row.total, row.updated_at = version, total, now()
    session.add(row)
    derived_states.mark_built(session, resource_id, DerivedKind.CITATIONS, version=version)


def describe(row: Citation) -> dict[str, Any]:
    """A citation as plain values."""
    return {name: getattr(row, name) for name in ("id", "resource_id", *_FIELDS, "target_resource_id")}
