"""Quality over time, as clients read it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from app.schemas.derived import Score
from app.schemas.shape import Output


class FallenDimension(Output):
    """One dimension, before and after."""

    name: str
    from_: Score = Field(alias="from")
    to: Score


class DegradationOut(Output):
    """A document whose overall score fell. `dimensions`: those that fell, the one that counts most first."""

    resource_id: UUID
    title: str
    overall_from: Score
    overall_to: Score
    overall_now: Score
    fell: Score
    from_at: datetime
    to_at: datetime
    dimensions: list[FallenDimension]
    found_at: datetime


class DegradationPage(Output):
    """The deepest falls first, as the last run of `monitor_quality_degradation` found them."""

    drop: float = Field(description="A fall of more than this is listed (QUALITY_DEGRADATION_DROP)")
    days: int = Field(description="Within this time (QUALITY_DEGRADATION_DAYS)")
    items: list[DegradationOut]
    next_cursor: str | None


class OutlierOut(Output):
    """A document that scores far below its like, and why. `is_current`: not scored again since it was judged."""

    resource_id: UUID
    title: str
    severity: Annotated[float, Field(ge=0, description="Robust standard deviations below the median")]
    reasons: list[str]
    compared_with: str = Field(description="The language whose documents it was compared with; `*`: all documents")
    is_current: bool
    scored_at: datetime
    found_at: datetime


class OutlierPage(Output):
    """The farthest first, as the last run of `detect_quality_outliers` found them.

    `documents`: how many have a score now; with fewer than `needed` nothing is judged.
    """

    documents: int
    needed: int
    items: list[OutlierOut]
    next_cursor: str | None


class SpreadOut(Output):
    """One dimension: ten bars of 0.1 each from 0 to 1, and quantiles by their share; null without documents."""

    count: int
    mean: Score | None
    histogram: Annotated[list[int], Field(min_length=10, max_length=10)]
    quantiles: dict[str, Score | None]


class Distribution(Output):
    """How the scores of all documents spread, for each dimension and overall."""

    dimensions: dict[str, SpreadOut]


class PastScore(Output):
    """One score that a document was given."""

    at: datetime
    built_from: int
    scores: dict[str, Score]


class QualityHistoryPage(Output):
    """The newest first."""

    items: list[PastScore]
    next_cursor: UUID | None
