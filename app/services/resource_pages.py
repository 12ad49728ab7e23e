"""Resource pages: the list of resources, cut by a cursor that no insert can shift."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, column, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import InvalidInput
from app.events.outbox import is_postgres
from app.models.resource import IngestionState, Resource
from app.services.library import Library
from app.services.resources import is_storable, summarise

Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"]
COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "created_at": Resource.created_at,
    "updated_at": Resource.updated_at,
    "title": Resource.title,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFilter:
    """What a listed resource must be; None: anything."""

    language: str | None = None
    type: str | None = None
    format: str | None = None
    creator: str | None = None
    subject: str | None = None
    source: str | None = None
    ingestion_status: IngestionState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePage:
    """Resources as `summarise` shows them, the count of all pages, and where the next one begins."""

    items: list[dict[str, Any]]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """The last item of a page: its sort value and its id."""

    value: Any
    id: UUID


def list_page(library: Library, *, limit: int, cursor: str | None, sort: Sort, wanted: ResourceFilter) -> ResourcePage:
    """`limit` resources after `cursor`. Raises `InvalidInput` for a cursor that is none of this sort's."""
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    by = COLUMNS[name]
    after = _decode(cursor, sort=sort) if cursor else None
    with library.database.reader() as session:
        listed = select(Resource).where(Resource.deleted_at.is_(None), *conditions(session, wanted))
        total = session.scalar(select(func.count()).select_from(listed.with_only_columns(Resource.id).subquery()))
        rows = list(session.scalars(_cut(listed, by, after, descending=descending).limit(limit + 1)))
        items = [summarise(row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = _encode(getattr(last, name), last.id, sort=sort) if last else None
    return ResourcePage(items=items, total=total or 0, next_cursor=next_cursor)


def _cut(
    listed: Select[Resource], by: InstrumentedAttribute[Any], after: _Position | None, *, descending: bool
) -> Select[Resource]:
    if after is not None:
        beyond = by < after.value if descending else by > after.value
        next_id = Resource.id < after.id if descending else Resource.id > after.id
        listed = listed.where(or_(beyond, and_(by == after.value, next_id)))
    if descending:
        return listed.order_by(by.desc(), Resource.id.desc())
    return listed.order_by(by, Resource.id)


def conditions(session: Session, wanted: ResourceFilter) -> list[ColumnElement[bool]]:
    """What a resource must be to pass the filter, deleted or not."""
    found = []
    for name in (field.name for field in fields(ResourceFilter)):
        value = getattr(wanted, name)
        if value is None:
            continue
        same = _has_subject(session, value) if name == "subject" else getattr(Resource, name) == value
        found.append(same)
    return found


def _has_subject(session: Session, subject: str) -> ColumnElement[bool]:
    if is_postgres(session):
        return Resource.subject.op("@>")(func.jsonb_build_array(subject))
    each = func.json_each(Resource.subject).table_valued("value")
    return exists(select(column("value")).select_from(each).where(each.c.value == subject))


def _encode(value: Any, resource_id: UUID, *, sort: str) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([sort, text, str(resource_id)]).encode()).decode().rstrip("=")


def _decode(cursor: str, *, sort: str) -> _Position:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        sorted_by, text, resource_id = json.loads(packed)
        if sorted_by != sort or not isinstance(text, str) or not is_storable(text):
            raise ValueError(sorted_by)
        value = text if sort.endswith("title") else _moment(text)
        return _Position(value=value, id=UUID(resource_id))
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError, OverflowError) as error:
        raise InvalidInput("this cursor does not continue a list of this order") from error


def _moment(text: str) -> datetime:
    """In UTC, where the first and last day of the calendar may have no room for it (`OverflowError`)."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)
