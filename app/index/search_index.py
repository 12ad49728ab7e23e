"""The seam of full-text search: one interface, two engines, the same answers up to the order of equals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.knowledge.query_grammar import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedDocument:
    """What is searched of one resource, as version `built_from` had it."""

    resource_id: UUID
    built_from: int
    title: str
    body: str
    creator: str | None = None
    subjects: Sequence[str] = ()
    language: str | None = None
    type: str | None = None
    format: str | None = None
    publication_year: int | None = None
    classification_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a hit must be besides matching the query; empty means anything.

    Values of one field are alternatives, fields are all required. Text compares ignoring case.
    """

    language: Sequence[str] = ()
    type: Sequence[str] = ()
    format: Sequence[str] = ()
    creator: Sequence[str] = ()
    subject: Sequence[str] = ()
    classification_code: Sequence[str] = ()
    year_from: int | None = None
    year_to: int | None = None
    quality_min: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is filtered out."""
        return self == Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One resource found. The score orders the hits of one answer and means nothing elsewhere; higher is better."""

    resource_id: UUID
    score: float


Facets = Mapping[str, Mapping[str, int]]
"""Field -> value -> number of hits that have it, most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """A page of hits, and the count of all of them by facet."""

    total: int = 0
    hits: Sequence[Hit] = ()
    facets: Facets = field(default_factory=dict)


class SearchIndex(Protocol):
    """A full-text index inside the database: it changes in the caller's transaction and never commits.

    Resources with `deleted_at` set are never found, even while their documents are still indexed.
    """

    def create_schema(self, connection: Connection) -> None:
        """Create what metadata cannot express, beside the tables of `app.models.search`."""

    def drop_schema(self, connection: Connection) -> None:
        """Drop what `create_schema` made, with its contents."""

    def upsert(self, session: Session, document: IndexedDocument) -> bool:
        """Index the document, unless a newer version of it is indexed already: then False, and nothing changes."""

    def remove(self, session: Session, resource_id: UUID) -> None:
        """Forget the resource; nothing happens when it is not indexed."""

    def search(self, session: Session, query: Query, *, filters: Filters, limit: int, offset: int = 0) -> Matches:
        """The best hits first: those with all wanted words in a row, then by weight of the words found.

        The order is total, so pages neither repeat nor skip while the index stays as it is.
        """

    def admitted(
        self, session: Session, query: Query, *, filters: Filters, among: Sequence[UUID] | None
    ) -> set[UUID]:
        """Which resources (of `among`, or of all) satisfy every clause and filter; an empty query admits all."""

    def facets(self, session: Session, resource_ids: Sequence[UUID]) -> Facets:
        """The facets of these resources."""

    def suggest(self, session: Session, query: Query, text: str) -> str | None:
        """The text with unknown words replaced by near ones that would be found; None when there are none."""

    def optimize(self, session: Session) -> None:
        """Compact the index after much was changed. Answers stay the same."""
