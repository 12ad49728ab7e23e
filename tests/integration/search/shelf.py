"""A library as tests see it: put documents in, find them by title."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import delete

from app.database import Database
from app.index.documents import Filters, Matches
from app.index.search_index import open_index
from app.knowledge.query_grammar import parse
from app.models.base import now
from app.models.resource import Resource
from app.models.search import SearchWord
from app.services.search_indexing import update_search_index


class Shelf:
    """Every document has a title of its own, which names it in assertions."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.index = open_index(database.engine.dialect.name)
        self.ids: dict[str, UUID] = {}

    def put(self, title: str, content: str = "", **fields: Any) -> UUID:
        """A new resource, indexed."""
        with self.database.writer() as session:
            resource = Resource(title=title, content=content, content_version=1, **fields)
            session.add(resource)
            session.flush()
            update_search_index(session, self.index, resource)
            self.ids[title] = resource.id
            return resource.id

    def change(self, title: str, *, indexed: bool = True, **fields: Any) -> None:
        """Change fields of a resource, one version on, and index it unless told not to."""
        with self.database.writer() as session:
            resource = session.get_one(Resource, self.ids[title])
            for name, value in fields.items():
                setattr(resource, name, value)
            resource.version += 1
            session.flush()
            if indexed:
                update_search_index(session, self.index, resource)

    def delete(self, title: str, *, indexed: bool = True) -> None:
        """Leave a tombstone."""
        self.change(title, indexed=indexed, deleted_at=now())

    def search(self, text: str, *, filters: Filters | None = None, limit: int = 50, offset: int = 0) -> Matches:
        with self.database.reader() as session:
            return self.index.search(session, parse(text), filters=filters or Filters(), limit=limit, offset=offset)

    def titles(self, text: str, **options: Any) -> list[str]:
        """What is found, best first."""
        named = {one: title for title, one in self.ids.items()}
        return [named[hit.resource_id] for hit in self.search(text, **options).hits]

    def found(self, text: str, **options: Any) -> set[str]:
        """What is found, in no order."""
        titles = self.titles(text, **options)
        assert len(titles) == len(set(titles))
        return set(titles)

    def suggestion(self, text: str) -> str | None:
        with self.database.reader() as session:
            return self.index.suggest(session, parse(text), text)

    def clear(self) -> None:
        with self.database.writer() as session:
            session.execute(delete(Resource))
            session.execute(delete(SearchWord))
        self.ids.clear()
