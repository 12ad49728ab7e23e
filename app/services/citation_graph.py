"""The citation graph: edges kept true as documents and targets come, change their identity, and go.

One call for a resource, not one for the graph: it reads only what has a key of that resource, by index, so a request
never contends for one row of the outbox with all others, and a document that fails keeps nobody else from its edges.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.events.hooks import call_for
from app.models.citation import Citation, CitationSet, ContentLinks
from app.models.resource import Resource
from app.services import citation_edges, identities
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName

SLICE = 500
"""Citations aimed anew in one run; the next run goes on."""


def update(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Aim the citations of a resource, and those that cite it or could, at what the library has now."""
    with library.database.reader() as session:
        resource = session.get(Resource, resource_id)
        deleted = resource is not None and resource.deleted_at is not None
        is_right = not citation_edges.wrong_targets(session, resource_id, limit=1)
        has_rows = session.scalar(select(Citation.id).where(Citation.resource_id == resource_id).limit(1)) is not None
    if resource is None or (is_right and not (deleted and has_rows)):
        with work():
            return
    with work() as unit:
        citation_edges.hold(unit.session)
        if deleted and _is_deleted(unit.session, resource_id):
            _forget(unit, resource_id)
        aim(unit, resource_id)


def aim(unit: UnitOfWork, resource_id: UUID, *, most: int = SLICE) -> None:
    """Give `most` citations of the resource or to it their right targets; call for another run if that is not all.

    The caller holds all citations.
    """
    session = unit.session
    wrong = citation_edges.wrong_targets(session, resource_id, limit=most)
    rights = {one.right for one in wrong if one.right is not None}
    alive = citation_edges.lock_targets(session, rights)
    added, removed = citation_edges.aim(session, [one for one in wrong if one.right is None or one.right in alive])
    citation_edges.tell_added(unit, resource_id, added)
    citation_edges.tell_removed(unit, resource_id, removed)
    if len(wrong) == most or alive != rights:  # of one deleted just now there may be a twin
        unit.enqueue(call_for(TaskName.UPDATE_CITATION_GRAPH, str(resource_id)))


def _is_deleted(session: Session, resource_id: UUID) -> bool:
    """Looked at again, and so until the commit: an import may have brought it back since."""
    row = select(Resource.deleted_at).where(Resource.id == resource_id).with_for_update(read=True, key_share=True)
    return session.scalar(row) is not None


def _forget(unit: UnitOfWork, resource_id: UUID) -> None:
    """What a deleted resource cited. Who cites it is aimed elsewhere: it has no keys any more."""
    session = unit.session
    edges = select(Citation.target_resource_id).where(Citation.resource_id == resource_id, citation_edges.is_edge())
    removed = [(resource_id, target) for target in session.scalars(edges) if target is not None]
    for table in (Citation, CitationSet, ContentLinks):
        session.execute(delete(table).where(table.resource_id == resource_id))
    identities.forget(session, resource_id)
    citation_edges.tell_removed(unit, resource_id, removed)
