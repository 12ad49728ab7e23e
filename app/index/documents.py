"""What goes into a search index and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedDocument:
    """What is searched of one resource, as version `built_from` had it."""

    resource_id: UUID
    built_from: int
    title: str
    body: str
    creator: str | None = None
    other_creators: Sequence[str] = ()
    subjects: Sequence[str] = ()
    language: str | None = None
    type: str | None = None
    format: str | None = None
    publication_year: int | None = None
    classification_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a hit must be besides matching the query; empty means anything.

    Values of one field are alternatives, fields are all required. Language, type and format compare ignoring
    case; the others as the facets give them. `author`: ids of authors, under whatever name.
    """

    language: Sequence[str] = ()
    type: Sequence[str] = ()
    format: Sequence[str] = ()
    creator: Sequence[str] = ()
    author: Sequence[UUID] = ()
    subject: Sequence[str] = ()
    classification_code: Sequence[str] = ()
    year_from: int | None = None
    year_to: int | None = None
    quality_min: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is filtered out: no values, be it a list or a tuple that has none."""
        return all(getattr(self, one.name) in (None, (), []) for one in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One resource found. The score orders the hits of one answer and means nothing elsewhere; higher is better.

    `number` is the document's in the index: of equal scores the lower comes first.
    """

    resource_id: UUID
    score: float
    number: int


Facets = Mapping[str, Mapping[str, int]]
"""Field -> value -> number of hits that have it, most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """A page of hits, and the count of all of them by facet."""

    total: int = 0
    hits: Sequence[Hit] = ()
    facets: Facets = field(default_factory=dict)
