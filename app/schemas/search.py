"""Searches and their hits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from app.schemas.author import Ids
from app.schemas.resource import Labels
from app.schemas.shape import Cursor, Input, Output, PageLength, QueryText, Year

Mode = Literal["keyword", "semantic", "hybrid"]
GRAMMAR = 'Words, "phrases", -exclusions, field:value'


class SearchFilters(Input):
    """What a hit must be. Values of one field are alternatives, fields are all required; text ignores case."""

    language: Labels = []
    type: Labels = []
    format: Labels = []
    creator: Labels = []
    author: Ids = Field(default=[], description="Ids of authors, as `/authors` gives them")
    subject: Labels = []
    classification_code: Labels = []
    year_from: Year | None = None
    year_to: Year | None = None
    quality_min: Annotated[float, Field(ge=0, le=1)] | None = None


class SearchRequest(Input):
    """One search. A page goes on where `cursor` says."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": 'evolution "natural selection"', "filters": {"language": ["en"]}}]}
    )

    text: QueryText = Field(description=GRAMMAR)
    mode: Mode = "hybrid"
    filters: SearchFilters = SearchFilters()
    limit: PageLength = 20
    cursor: Cursor | None = None


class SearchParameters(SearchFilters):
    """A search in the query string; a filter is repeated for alternatives."""

    model_config = ConfigDict(extra="forbid", strict=False)

    query: QueryText = Field(description=GRAMMAR)
    # A query string holds text only: here "3" is how 3 is written.
    year_from: Annotated[int, Field(ge=1, le=9999)] | None = None
    year_to: Annotated[int, Field(ge=1, le=9999)] | None = None
    mode: Mode = "hybrid"
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class SearchHit(Output):
    """One resource found. Scores order the hits of one answer and mean nothing elsewhere."""

    id: UUID
    title: str
    score: float
    snippet: str = Field(description="HTML: escaped text with <mark> around what was found")
    creator: str | None
    language: str | None
    format: str | None
    created_at: datetime


class SearchResults(Output):
    """A page of hits, with counts by field. `mode` is the one that answered."""

    mode: Mode
    total: int
    items: list[SearchHit]
    facets: dict[str, dict[str, int]]
    did_you_mean: str | None
    next_cursor: str | None
