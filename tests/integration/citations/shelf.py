"""Documents that cite each other, and what is known of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.events.event_types import EventType
from app.models.citation import Citation, CitationRank
from app.models.outbox import EventRecord
from app.services import (
    citation_edges,
    citation_graph,
    citation_pages,
    citation_ranks,
    citations,
    resources,
)
from app.services.library import Library

DOI = "10.1234/zebra.7"


class Shelf:
    """Documents of a library, and the tasks that its hooks would call for them."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def put(self, content: str = "Nothing is cited here.", **fields: Any) -> UUID:
        """A new document, its citations extracted and resolved."""
        with self.library.work() as unit:
            made: UUID = resources.create(self.library, {"content": content, **fields}, unit=unit)["id"]
        self.build(made)
        return made

    def build(self, resource_id: UUID) -> None:
        citations.extract(self.library, resource_id, work=self.library.work)
        self.resolve(resource_id)

    def resolve(self, resource_id: UUID) -> None:
        citation_graph.update(self.library, resource_id, work=self.library.work)

    def rank(self) -> None:
        citation_ranks.rank(self.library, work=self.library.work)

    def edges(self) -> set[tuple[UUID, UUID]]:
        with self.library.database.reader() as session:
            rows = select(Citation.resource_id, Citation.target_resource_id).where(citation_edges.is_edge())
            return {(row[0], row[1]) for row in session.execute(rows) if row[1]}

    def listed(self, resource_id: UUID, **how: Any) -> list[dict[str, Any]]:
        with self.library.database.reader() as session:
            page = citation_pages.list_page(session, resource_id, **{"direction": "outgoing", "limit": 50, **how})
        return page.items

    def events(self, name: EventType) -> list[dict[str, Any]]:
        with self.library.database.reader() as session:
            rows = select(EventRecord.data).where(EventRecord.name == name).order_by(EventRecord.timestamp)
            return list(session.scalars(rows))

    def ranks(self) -> dict[UUID, float]:
        with self.library.database.reader() as session:
            return {row.resource_id: row.score for row in session.scalars(select(CitationRank))}

    def overview(self) -> dict[str, Any]:
        with self.library.database.reader() as session:
            return citation_pages.overview(session)
