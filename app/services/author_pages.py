"""Author pages: authors listed and found by any of their names, each with his names and documents."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from app.errors import InvalidInput, NotFound
from app.knowledge.author_names import fold
from app.models.author import Author, AuthorVariant, ResourceAuthor
from app.models.resource import Resource
from app.services.library import Library

_WORDS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorPage:
    """Authors with most documents first; `total` counts all pages."""

    items: list[Author]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorDocument:
    """One document of an author: the name it gives him, and his place on its by-line, from 0."""

    id: UUID
    title: str
    name: str
    position: int
    date_created: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    """Documents in the order of their ids, which is that of their arrival."""

    items: list[AuthorDocument]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedAuthor:
    """A name on a document, and the author it stands for."""

    author_id: UUID
    name: str
    author_name: str


def find(session: Session, author_id: UUID) -> Author:
    """The author whose name, canonical or any other, has this id; `NotFound`.

    An id stays good when a fuller name becomes the canonical one, and when authors are merged.
    """
    variant = session.get(AuthorVariant, author_id)
    author = session.get(Author, variant.author_id) if variant is not None else None
    if author is None:
        raise NotFound(f"there is no author {author_id}")
    return author


def variants_of(session: Session, author_id: UUID) -> list[AuthorVariant]:
    """His names, by key."""
    return list(session.scalars(select(AuthorVariant).where(AuthorVariant.author_id == author_id).order_by("key")))


def names_of(session: Session, author_id: UUID) -> dict[UUID, list[str]]:
    """As documents give each variant of his name."""
    spelt = (
        select(ResourceAuthor.variant_id, ResourceAuthor.name)
        .join(AuthorVariant, AuthorVariant.id == ResourceAuthor.variant_id)
        .where(AuthorVariant.author_id == author_id)
        .distinct()
    )
    names: dict[UUID, list[str]] = {}
    for variant_id, name in session.execute(spelt.order_by(ResourceAuthor.name)):
        names.setdefault(variant_id, []).append(name)
    return names


def list_page(library: Library, *, query: str, limit: int, cursor: str | None) -> AuthorPage:
    """`limit` authors after `cursor`, of those who have a name with all words of `query`; `InvalidInput`."""
    conditions = _named(query)
    after = _decode(cursor, query)
    with library.database.reader() as session:
        total = session.scalar(select(func.count()).select_from(Author).where(*conditions)) or 0
        listed = select(Author).where(*conditions)
        if after is not None:
            count, last = after
            fewer = Author.document_count < count
            listed = listed.where(or_(fewer, and_(Author.document_count == count, Author.id > last)))
        ordered = listed.order_by(Author.document_count.desc(), Author.id).limit(limit + 1)
        rows = list(session.scalars(ordered))
    last_row = rows[limit - 1] if len(rows) > limit else None
    return AuthorPage(
        items=rows[:limit],
        total=total,
        next_cursor=_encode([last_row.document_count, str(last_row.id), query]) if last_row else None,
    )


def documents_of(session: Session, author_id: UUID, *, limit: int, cursor: str | None) -> DocumentPage:
    """`limit` live documents after `cursor`; `InvalidInput`."""
    after = _document_after(cursor)
    columns = (Resource.id, Resource.title, ResourceAuthor.name, ResourceAuthor.position, Resource.date_created)
    listed = (
        select(*columns)
        .join(ResourceAuthor, ResourceAuthor.resource_id == Resource.id)
        .join(AuthorVariant, AuthorVariant.id == ResourceAuthor.variant_id)
        .where(AuthorVariant.author_id == author_id, Resource.deleted_at.is_(None))
        .order_by(Resource.id, ResourceAuthor.position)
    )
    if after is not None:
        listed = listed.where(Resource.id > after)
    found: dict[UUID, AuthorDocument] = {}
    for row in session.execute(listed.limit(2 * limit + 2)):
        found.setdefault(row.id, AuthorDocument(**row._mapping))  # noqa: SLF001 — public in SQLAlchemy
    items = list(found.values())
    cut = items[:limit]
    return DocumentPage(items=cut, next_cursor=_encode([str(cut[-1].id)]) if len(items) > limit else None)


def linked_to(session: Session, resource_id: UUID) -> list[LinkedAuthor]:
    """The authors of a resource in the order of its by-line."""
    joined = (
        select(Author.id, AuthorVariant.name, Author.name)
        .select_from(ResourceAuthor)
        .join(AuthorVariant, AuthorVariant.id == ResourceAuthor.variant_id)
        .join(Author, Author.id == AuthorVariant.author_id)
        .where(ResourceAuthor.resource_id == resource_id)
        .order_by(ResourceAuthor.position)
    )
    return [LinkedAuthor(author_id=row[0], name=row[1], author_name=row[2]) for row in session.execute(joined)]


def _named(query: str) -> list[ColumnElement[bool]]:
    words = fold(query).split()[:_WORDS_MAX]
    if not words:
        return []
    begun = [AuthorVariant.search.contains(f" {word}", autoescape=True) for word in words]
    return [exists().where(AuthorVariant.author_id == Author.id, *begun)]


def _encode(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decode(cursor: str | None, query: str) -> tuple[int, UUID] | None:
    values = _unpacked(cursor, 3)
    if values is None:
        return None
    count, last, asked = values
    if type(count) is not int or abs(count) > 2**31 or not isinstance(last, str) or asked != query:
        raise InvalidInput("cursor: not one that this list gave out")
    return count, _id(last)


def _document_after(cursor: str | None) -> UUID | None:
    values = _unpacked(cursor, 1)
    return None if values is None else _id(values[0])


def _unpacked(cursor: str | None, length: int) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise InvalidInput("cursor: not one that this list gave out") from error
    if not isinstance(values, list) or len(values) != length:
        raise InvalidInput("cursor: not one that this list gave out")
    return values


def _id(text: object) -> UUID:
    try:
        return UUID(str(text))
    except ValueError as error:
        raise InvalidInput("cursor: not one that this list gave out") from error
