"""Authors: who wrote what, under which names, and why those are taken for one."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.schemas.shape import Input, Output

Ids = Annotated[list[Annotated[UUID, Field(strict=False)]], Field(max_length=100)]
_ID = "0198c0de-0000-7000-8000-000000000001"


class AuthorSummary(Output):
    """One author. The id of any of his names is his id too, and stays so."""

    id: UUID
    name: str
    family: str
    given: str
    particles: str
    suffix: str
    orcid: str | None
    is_group: bool = Field(description="An organisation, and no person")
    document_count: int
    variant_count: int


class AuthorPage(Output):
    """One page of the list. `total` counts all pages; `next_cursor` is null on the last one."""

    items: list[AuthorSummary]
    total: int
    next_cursor: str | None


class AuthorVariant(Output):
    """One name of an author, and why it is his.

    `reason`: `only_name` (the fullest one), `same_orcid`, `same_name`, `initials`, `by_hand`.
    """

    id: UUID
    name: str
    orcid: str | None
    written: list[str] = Field(description="As documents give it")
    reason: str
    linked_to: UUID | None = Field(description="The name that brought it here")
    evidence: str | None = Field(description="What the two have in common: an ORCID iD, or a fellow author")
    since: datetime


class AuthorDocument(Output):
    """One document, the name it gives the author, and his place on its by-line, from 0."""

    id: UUID
    title: str
    name: str
    position: int
    date_created: date | None


class AuthorOut(AuthorSummary):
    """One author with his names and a page of his documents."""

    variants: list[AuthorVariant]
    documents: list[AuthorDocument]
    next_cursor: str | None


class AuthorMerge(Input):
    """Authors that are one with the author of the path."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"author_ids": [_ID]}]})

    author_ids: Annotated[Ids, Field(min_length=1)]


class AuthorSplit(Input):
    """Names of the author, or documents of his, that are somebody else's: at least one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"variant_ids": [_ID]}],
            "anyOf": [
                {"required": [name], "properties": {name: {"minItems": 1}}} for name in ("variant_ids", "resource_ids")
            ],
        }
    )

    variant_ids: Ids = []
    resource_ids: Ids = []

    @model_validator(mode="after")
    def _names_something(self) -> AuthorSplit:
        if not self.variant_ids and not self.resource_ids:
            raise ValueError("variant_ids or resource_ids must name what is somebody else's")
        return self


class AuthorParts(Output):
    """The author that is left, and those made of what was split off."""

    author_id: UUID
    split_off: list[UUID]
