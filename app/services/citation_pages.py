"""Citation pages: what a resource cites and what cites it, page by page, and the graph as a whole."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.errors import InvalidInput
from app.models.citation import Citation, CitationRank
from app.models.resource import Resource
from app.services import citation_edges
from app.services.citations import describe

Direction = Literal["outgoing", "incoming"]
POSITION_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationPage:
    """`items` as `describe` gives them, with the titles of both ends; `total` counts all pages."""

    items: list[dict[str, Any]]
    total: int
    next_cursor: str | None


def list_page(
    session: Session, resource_id: UUID, *, direction: Direction, limit: int, cursor: str | None = None
) -> CitationPage:
    """Outgoing in the order of the text, incoming by their resource. `InvalidInput` for a cursor of another list."""
    source, target = aliased(Resource), aliased(Resource)
    rows = (
        select(Citation, source.title, target.title)
        .join(source, source.id == Citation.resource_id)
        .outerjoin(target, and_(target.id == Citation.target_resource_id, target.deleted_at.is_(None)))
        .where(_listed(resource_id, direction), source.deleted_at.is_(None))
    )
    total = session.scalar(select(func.count()).select_from(rows.with_only_columns(Citation.id).subquery())) or 0
    place = Citation.position if direction == "outgoing" else Citation.resource_id
    if cursor:
        at, after = _decode(cursor, direction)
        rows = rows.where(or_(place > at, and_(place == at, Citation.id > after)))
    found = session.execute(rows.order_by(place, Citation.id).limit(limit + 1)).all()
    items = [_item(row[0], source_title=row[1], target_title=row[2]) for row in found[:limit]]
    last = found[limit - 1][0] if len(found) > limit else None
    return CitationPage(items=items, total=total, next_cursor=_encode(last, direction) if last else None)


def overview(session: Session, *, most: int = 10) -> dict[str, Any]:
    """`GET /graph/overview`: counts, and the resources that citations give the most weight."""
    live = select(Resource.id).where(Resource.deleted_at.is_(None))
    target = aliased(Resource)
    edge = and_(citation_edges.is_edge(), target.id.is_not(None))
    counted = (
        select(
            func.count().label("citations"),
            func.count(case((edge, 1))).label("resolved"),
        )
        .select_from(Citation)
        .outerjoin(target, and_(target.id == Citation.target_resource_id, target.deleted_at.is_(None)))
        .where(Citation.resource_id.in_(live), _is_of_another())
    )
    citations, resolved = session.execute(counted).one()
    by_type = (
        select(Citation.type, func.count())
        .where(Citation.resource_id.in_(live), _is_of_another())
        .group_by(Citation.type)
    )
    pairs = select(Citation.resource_id, Citation.target_resource_id).where(
        citation_edges.is_edge(), Citation.resource_id.in_(live), Citation.target_resource_id.in_(live)
    )
    return {
        "resources": session.scalar(select(func.count()).select_from(live.subquery())) or 0,
        "citations": citations,
        "resolved": resolved,
        "unresolved": citations - resolved,
        "edges": session.scalar(select(func.count()).select_from(pairs.distinct().subquery())) or 0,
        "by_type": {row[0]: row[1] for row in session.execute(by_type)},
        "top": _top(session, most),
    }


def _top(session: Session, most: int) -> list[dict[str, Any]]:
    ranked = (
        select(Resource.id, Resource.title, CitationRank.score)
        .join(Resource, Resource.id == CitationRank.resource_id)
        .where(Resource.deleted_at.is_(None))
        .order_by(CitationRank.score.desc(), Resource.id)
        .limit(most)
    )
    return [{"resource_id": row.id, "title": row.title, "page_rank": row.score} for row in session.execute(ranked)]


def _listed(resource_id: UUID, direction: Direction) -> ColumnElement[bool]:
    end = Citation.resource_id if direction == "outgoing" else Citation.target_resource_id
    return and_(end == resource_id, _is_of_another())


def _is_of_another() -> ColumnElement[bool]:
    """A document that names itself cites nothing by it."""
    return or_(Citation.target_resource_id.is_(None), Citation.target_resource_id != Citation.resource_id)


def _item(row: Citation, *, source_title: str, target_title: str | None) -> dict[str, Any]:
    target = row.target_resource_id if target_title is not None else None
    return describe(row) | {
        "target_resource_id": target,
        "source_title": source_title,
        "target_title": target_title,
    }


def _encode(row: Citation, direction: Direction) -> str:
    place = row.position if direction == "outgoing" else str(row.resource_id)
    return base64.urlsafe_b64encode(json.dumps([direction, place, str(row.id)]).encode()).decode().rstrip("=")


def _decode(cursor: str, direction: Direction) -> tuple[Any, UUID]:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        made_for, place, citation_id = json.loads(packed)
        if made_for != direction:
            raise ValueError(made_for)
        if direction == "incoming":
            return UUID(place), UUID(citation_id)
        if not isinstance(place, int) or not 0 <= place <= POSITION_MAX:
            raise ValueError(place)
        return place, UUID(citation_id)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError) as error:
        raise InvalidInput("this cursor does not continue a list of this direction") from error
