"""Citations, neighbours and the graph as clients read them."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.schemas.shape import Output

CitationType = Literal["reference", "dataset", "code", "general"]
Share = Annotated[float, Field(ge=0, le=1)]


class Citation(Output):
    """One work that one resource cites, however often."""

    id: UUID
    type: CitationType
    resource_id: UUID = Field(description="The resource that cites")
    source_title: str
    target_resource_id: UUID | None = Field(description="The resource that is cited, if the library has it")
    target_title: str | None
    doi: str | None
    arxiv_id: str | None
    rfc: int | None
    pmid: str | None
    isbn: str | None = Field(description="As ISBN-13, without hyphens")
    url: str | None
    label: str | None = Field(description="Of its entry in a list of references, such as `12`")
    raw: str = Field(description="That entry, or the words by which it is mentioned first")
    context: str = Field(description="The words around the first mention")
    position: int = Field(description="Characters into the text at its first mention")
    mentions: int


class CitationPage(Output):
    """One page. `total` counts all pages; `next_cursor` is null on the last one."""

    items: list[Citation]
    total: int
    next_cursor: str | None


class Neighbor(Output):
    """A resource near another, and what makes it near."""

    resource_id: UUID
    title: str
    creator: str | None
    score: Share
    hops: int | None = Field(description="Steps along citations, followed either way; null where none leads")
    cosine: Annotated[float, Field(ge=-1.01, le=1.01)]
    tags: Share
    same_class: bool


class Neighbors(Output):
    """The nearest first."""

    items: list[Neighbor]


class RankedResource(Output):
    """A resource and its PageRank; those of all that cite or are cited add up to 1."""

    resource_id: UUID
    title: str
    page_rank: Share


class GraphOverview(Output):
    """The citation graph. `resolved` citations lead to a resource of the library; several of them may be one edge."""

    resources: int
    citations: int
    resolved: int
    unresolved: int
    edges: int
    by_type: dict[str, int]
    top: list[RankedResource]
