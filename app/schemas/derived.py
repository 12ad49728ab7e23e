"""What is derived from a resource: its state, and its quality."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.schemas.resource import ErrorDescription, IngestionStatus
from app.schemas.shape import Output

Score = Annotated[float, Field(ge=0, le=1)]


class IngestionReport(Output):
    """Where the document is on its way in."""

    state: IngestionStatus
    error: ErrorDescription | None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class DerivedReport(Output):
    """One derived kind of one resource."""

    state: Literal["fresh", "stale", "running", "failed"]
    built_from: int = Field(description="The input version it was built from; 0 if never")
    attempts: int
    error: ErrorDescription | None
    next_due_at: datetime | None


class ResourceStatus(Output):
    """Ingestion, and every derived kind by its name."""

    ingestion: IngestionReport
    derived: dict[str, DerivedReport]


class KindCounts(Output):
    """Resources by the state of one derived kind."""

    fresh: int
    stale: int
    failed: int
    oldest_stale_seconds: float | None


class Consistency(Output):
    """Whether everything derived is true. `converged`: nothing stale, and no call open."""

    converged: bool
    open_calls: int
    pending_ingestions: int = 0
    dead_letters: int
    stale_profiles: int = Field(default=0, description="Of users, behind what they did")
    stale_citation_targets: int = Field(
        default=0, description="Citations not aimed at what the library has, among the 500 documents looked at next"
    )
    kinds: dict[str, KindCounts]


class Quality(Output):
    """Five dimensions and their weighted mean, each 0 to 1; null until first computed."""

    resource_id: UUID
    state: Literal["fresh", "stale"]
    built_from: int
    accuracy: Score | None = None
    completeness: Score | None = None
    consistency: Score | None = None
    timeliness: Score | None = None
    relevance: Score | None = None
    overall: Score | None = None
    weights: dict[str, float] = {}
    reasons: list[str] = []
    updated_at: datetime | None = None
