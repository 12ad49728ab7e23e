"""Resources as clients write and read them (Dublin Core and what the library adds)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.schemas.shape import Address, Code, Day, Input, Label, Line, Output, Paragraph, Text, Version, Year

ReadStatus = Literal["unread", "in_progress", "completed", "archived"]
IngestionStatus = Literal["pending", "running", "completed", "failed"]
LanguageTag = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=16)]
Labels = Annotated[list[Label], Field(max_length=100)]

EXAMPLE: dict[str, Any] = {
    "title": "On the Origin of Species",
    "creator": "Charles Darwin",
    "subject": ["biology", "evolution"],
    "language": "en",
    "date_created": "1859-11-24",
    "content": "When on board H.M.S. Beagle, as naturalist, I was much struck with certain facts.",
}


class ResourceFields(Input):
    """The writable fields. `subject`, `relation` and `authors` are replaced as a whole."""

    title: Line = ""
    description: Paragraph | None = None
    creator: Line | None = None
    publisher: Line | None = None
    contributor: Line | None = None
    subject: Labels = []
    date_created: Day | None = None
    date_modified: Day | None = None
    type: Line | None = None
    format: Line | None = None
    identifier: Line | None = None
    source: Address | None = None
    language: LanguageTag | None = Field(default=None, description="BCP 47, such as `en` or `pt-BR`")
    coverage: Line | None = None
    rights: Paragraph | None = None
    relation: Labels = []
    content: Text = Field(default="", description="Plain text; what search, embedding and quality are built from")
    authors: Labels = []
    doi: Line | None = None
    arxiv_id: Line | None = None
    publication_year: Year | None = None
    classification_code: Code | None = Field(
        default=None,
        description="A person's decision; null leaves it to the model, see `/resources/{id}/classification`",
    )
    read_status: ReadStatus = "unread"


class ResourceCreate(ResourceFields):
    """A new resource: at least a title or a content."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["title"]}, {"required": ["content"]}], "examples": [EXAMPLE]}
    )

    @model_validator(mode="after")
    def _says_something(self) -> ResourceCreate:
        if self.model_fields_set.isdisjoint({"title", "content"}):
            raise ValueError("a resource needs a title or a content")
        return self


class ResourceUpdate(ResourceFields):
    """Any subset of the writable fields; what is not named stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "The Origin of Species", "version": 1}]})

    version: Version | None = Field(
        default=None, description="The version this change is meant for; 409 when the resource has moved on"
    )


class ErrorDescription(Output):
    """Why something failed: a stable type and a sentence."""

    type: str
    detail: str


class ResourceSummary(Output):
    """One resource without its content."""

    id: UUID
    version: int = Field(description="Moves with every change; the ETag")
    content_version: int = Field(description="Moves with the content; 0 until there is one")
    metadata_version: int
    title: str
    description: str | None
    creator: str | None
    publisher: str | None
    contributor: str | None
    subject: list[str]
    date_created: date | None
    date_modified: date | None
    type: str | None
    format: str | None
    identifier: str | None
    source: str | None
    language: str | None
    coverage: str | None
    rights: str | None
    relation: list[str]
    authors: list[str]
    doi: str | None
    arxiv_id: str | None
    publication_year: int | None
    classification_code: str | None = Field(description="A person's decision, never the model's")
    read_status: str
    duplicate_of: UUID | None = Field(description="The oldest resource with the same text")
    page_count: int | None
    ingestion_status: IngestionStatus
    ingestion_error: ErrorDescription | None
    created_at: datetime
    updated_at: datetime


class ResourceOut(ResourceSummary):
    """One resource."""

    content: str


class ResourcePage(Output):
    """One page of the list. `total` counts all pages; `next_cursor` is null on the last one."""

    items: list[ResourceSummary]
    total: int
    next_cursor: str | None
