"""Batches as clients ask for them and read them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from app.schemas.resource import ErrorDescription, IngestionStatus
from app.schemas.shape import NO_NUL, Input, Line, Output

IDS_MAX = 1000
Operation = Literal["re_embed", "rescore", "reclassify", "reindex", "delete"]
State = Literal["freezing", "running", "completed", "cancelled"]
ItemStateName = Literal["waiting", "working", "done", "failed"]
CHOICES = ("ids", "filter", "everything")


def _no_default(schema: dict[str, Any]) -> None:
    """A field that is left out means anything, not this value."""
    schema.pop("default", None)


def _any_text(schema: dict[str, Any]) -> None:
    _no_default(schema)
    schema.update(NO_NUL)


_ANY = Field(default="", json_schema_extra=_any_text)


class BatchFilter(Input):
    """As in `GET /resources`: whole values, and at least one of them."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    language: Line = _ANY
    type: Line = _ANY
    format: Line = _ANY
    creator: Line = _ANY
    subject: Line = Field(default="", description="One of its subjects", json_schema_extra=_any_text)
    source: Line = _ANY
    ingestion_status: IngestionStatus = Field(default="completed", json_schema_extra=_no_default)

    @model_validator(mode="after")
    def _says_something(self) -> BatchFilter:
        if not self.model_fields_set:
            raise ValueError('a filter names at least one field; for all resources say {"everything": true}')
        return self


class BatchCreate(Input):
    """One operation over many resources: these, those that match, or all."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in CHOICES],
            "examples": [{"operation": "rescore", "filter": {"language": "en"}}],
        }
    )

    operation: Operation
    ids: Annotated[list[Annotated[UUID, Field(strict=False)]], Field(min_length=1, max_length=IDS_MAX)] = Field(
        default=[], json_schema_extra=_no_default
    )
    filter: BatchFilter = Field(default=BatchFilter(language=""), json_schema_extra=_no_default)
    everything: Literal[True] = Field(default=True, json_schema_extra=_no_default)

    @model_validator(mode="after")
    def _says_to_what(self) -> BatchCreate:
        """Nothing is done to all of them by leaving something out."""
        if len(self.model_fields_set.intersection(CHOICES)) != 1:
            raise ValueError('say to what: exactly one of ids, filter, or {"everything": true}')
        return self


class ProgressOut(Output):
    """Items by their state; the pace since the first one began, and the seconds to go at that pace."""

    waiting: int
    working: int
    done: int
    failed: int
    cancelled: int
    items_per_second: float | None
    eta_seconds: float | None


class BatchItemOut(Output):
    """One resource of a batch. `working`: what was asked for is on its way; `done`: it is there."""

    resource_id: UUID
    state: ItemStateName
    error: ErrorDescription | None
    ended_at: datetime | None


class BatchOut(Output):
    """A batch and how far it is; `total` grows while it is `freezing`. `failures`: the first that failed, and why."""

    id: UUID
    operation: Operation
    filter: dict[str, str] | None = Field(description="Null: it was asked for by ids")
    state: State
    total: int
    progress: ProgressOut
    failures: list[BatchItemOut]
    asked_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class BatchPage(Output):
    """The newest first, without their failures."""

    items: list[BatchOut]
    next_cursor: UUID | None


class BatchItemPage(Output):
    """Items in their order."""

    items: list[BatchItemOut]
    next_cursor: int | None
