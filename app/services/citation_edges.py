"""Citation edges: which cited works are resources of the library, and who may say so.

An edge is a citation with a target other than its own resource. Whoever writes citations or their targets holds all of
them first (`hold`) and locks resources after that; a change of a resource takes no such hold, so the two never wait for
each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, union, update
from sqlalchemy.orm import Session, aliased

from app.events import counters
from app.events.event_types import EventType
from app.events.outbox import is_postgres
from app.index.matching import is_live
from app.models.citation import Citation, CitationKey, ResourceKey
from app.models.derived import Counter
from app.models.resource import Resource
from app.services.unit_of_work import UnitOfWork

CHANGES = "citation_graph"
_ADVISORY_LOCK = 7_251_860_131
Edge = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongTarget:
    """A citation whose target is not what the keys say now."""

    id: UUID
    source: UUID
    held: UUID | None
    right: UUID | None


def hold(session: Session) -> None:
    """Until the commit nobody else writes citations. SQLite has one writer anyway."""
    if is_postgres(session):
        session.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))


def touches(session: Session, resource_id: UUID) -> bool:
    """Whether an edge leads, or could lead, from this resource or to it."""
    return session.scalar(select(or_(*_reasons(resource_id)))) or False


def is_linked(session: Session, resource_id: UUID) -> bool:
    """Whether an edge leads from this resource or to it, or another could take its place."""
    outgoing = and_(Citation.resource_id == resource_id, Citation.target_resource_id.is_not(None))
    incoming = Citation.target_resource_id == resource_id
    return session.scalar(select(or_(exists().where(outgoing), exists().where(incoming)))) or False


def wrong_targets(session: Session, resource_id: UUID, *, limit: int) -> list[WrongTarget]:
    """Citations of the resource, or that cite it or could, whose target is wrong: `limit` of them, by id."""
    # A union and not `OR`: PostgreSQL would look at every citation for one that has a key of the resource.
    about = union(
        select(Citation.id).where(Citation.resource_id == resource_id),
        select(Citation.id).where(Citation.target_resource_id == resource_id),
        _citing(resource_id),
    )
    return _wrong(session, Citation.id.in_(about), limit=limit)


def wrong_targets_of(session: Session, resource_ids: Sequence[UUID], *, limit: int) -> list[WrongTarget]:
    """Citations of these resources whose target is wrong: `limit` of them, by id."""
    # Most citations are of works that nobody has: they are told by one search, and their right target is not asked for.
    leads = or_(Citation.target_resource_id.is_not(None), _found().exists())
    return _wrong(session, Citation.resource_id.in_(resource_ids) & leads, limit=limit)


def lock_targets(session: Session, ids: Iterable[UUID]) -> set[UUID]:
    """Those of these resources that live, which stay until the commit: their deletion waits, and then sees the edge."""
    rows = select(Resource.id).where(Resource.id.in_(sorted(ids)), Resource.deleted_at.is_(None)).order_by(Resource.id)
    return set(session.scalars(rows.with_for_update(read=True, key_share=True)))


def aim(session: Session, wrong: Sequence[WrongTarget]) -> tuple[list[Edge], list[Edge]]:
    """Give these citations their right targets: the edges that came of it, and those that went."""
    added: list[Edge] = []
    removed: list[Edge] = []
    for one in wrong:
        session.execute(update(Citation).where(Citation.id == one.id).values(target_resource_id=one.right))
        if one.held is not None and one.held != one.source:
            removed.append((one.source, one.held))
        if one.right is not None and one.right != one.source:
            added.append((one.source, one.right))
    return added, removed


def tell_added(unit: UnitOfWork, resource_id: UUID, edges: Sequence[Edge]) -> None:
    """New edges, as one event about the resource whose arrival or change brought them."""
    _tell(unit, EventType.GRAPH_EDGE_ADDED, resource_id, edges)


def tell_removed(unit: UnitOfWork, resource_id: UUID, edges: Sequence[Edge]) -> None:
    """Edges that are no more."""
    _tell(unit, EventType.GRAPH_EDGE_REMOVED, resource_id, edges)


def newest_change(session: Session) -> int:
    """The number of the last committed change of an edge: what is computed after this was read has seen it."""
    return counters.read(session, CHANGES)


def is_edge() -> ColumnElement[bool]:
    """Citations that lead to another resource."""
    return and_(Citation.target_resource_id.is_not(None), Citation.target_resource_id != Citation.resource_id)


def _tell(unit: UnitOfWork, name: EventType, resource_id: UUID, edges: Sequence[Edge]) -> None:
    if not edges:
        return
    _count_change(unit.session)
    pairs = [{"source": str(source), "target": str(target)} for source, target in edges]
    unit.emit(name, {"resource_id": str(resource_id), "edges": pairs})


def _count_change(session: Session) -> None:
    """The caller holds all citations, so the counter is in the order of the commits."""
    counter = session.get(Counter, CHANGES, populate_existing=True)
    if counter is None:
        session.add(Counter(name=CHANGES, value=1))
    else:
        counter.value += 1


def _wrong(session: Session, among: ColumnElement[bool], *, limit: int) -> list[WrongTarget]:
    """Of what lives: a deleted resource cites nothing, though its citations may stand until it is swept."""
    right = _right_target()
    rows = select(Citation.id, Citation.resource_id, Citation.target_resource_id, right.label("right")).where(
        among, is_live(Citation.resource_id), Citation.target_resource_id.is_distinct_from(right)
    )
    return [
        WrongTarget(id=row.id, source=row.resource_id, held=row.target_resource_id, right=row.right)
        for row in session.execute(rows.order_by(Citation.id).limit(limit))
    ]


def _right_target() -> ColumnElement[UUID | None]:
    """Of the live resources with a key of the citation: its own if that is one, else by the surest key the oldest."""
    found = _found()
    own = found.where(ResourceKey.resource_id == Citation.resource_id).exists()
    oldest = found.order_by(CitationKey.rank, ResourceKey.resource_id).limit(1).scalar_subquery()
    return case((own, Citation.resource_id), else_=oldest)


def _found() -> Select[UUID]:
    """Live resources with a key of the citation."""
    return (
        select(ResourceKey.resource_id)
        .join(CitationKey, CitationKey.key == ResourceKey.key)
        .join(Resource, Resource.id == ResourceKey.resource_id)
        .where(CitationKey.citation_id == Citation.id, Resource.deleted_at.is_(None))
        .correlate(Citation)
    )


def _citing(resource_id: UUID) -> Select[UUID]:
    """Citations with a key of the resource."""
    return (
        select(CitationKey.citation_id)
        .join(ResourceKey, ResourceKey.key == CitationKey.key)
        .where(ResourceKey.resource_id == resource_id)
    )


def _reasons(resource_id: UUID) -> tuple[ColumnElement[bool], ...]:
    own = aliased(Citation)
    leads = exists().where(own.resource_id == resource_id, own.target_resource_id.is_not(None))
    cited = exists().where(Citation.target_resource_id == resource_id)
    could_lead = exists(
        select(CitationKey.citation_id)
        .join(Citation, Citation.id == CitationKey.citation_id)
        .join(ResourceKey, ResourceKey.key == CitationKey.key)
        .where(Citation.resource_id == resource_id)
    )
    return leads, cited, could_lead, exists(_citing(resource_id))
