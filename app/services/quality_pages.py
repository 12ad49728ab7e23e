"""Quality pages: what the scheduled tasks found, the history of a document, the spread of all scores."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import InvalidInput
from app.models.derived import QualityHistory, QualityScore
from app.models.quality_finding import QualityDegradation, QualityOutlier
from app.models.resource import Resource
from app.services import resources
from app.services.library import Library
from app.services.quality import DIMENSIONS

STEPS = 1000
"""Scores are counted by their third decimal: one pass over the table gives the histogram and every quantile."""
BARS = 10
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingPage:
    """Findings as plain values, and where the next page begins."""

    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Scores, the newest first, and the id after which the next page begins."""

    items: list[QualityHistory]
    next_cursor: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One dimension over `count` documents; `histogram` has `BARS` equal bars from 0 to 1, the last with its end.

    `quantiles`: the share of documents with at most this score, to the third decimal (nearest rank).
    """

    count: int
    mean: float | None
    histogram: list[int]
    quantiles: dict[str, float | None]


def degraded(library: Library, *, limit: int, cursor: str | None) -> FindingPage:
    """Documents that fell, the deepest first; one that has recovered since the last run is not shown."""
    drop = library.settings.quality_degradation_drop
    listed = (
        select(QualityDegradation, Resource.title, QualityScore.overall)
        .join(Resource, Resource.id == QualityDegradation.resource_id)
        .join(QualityScore, QualityScore.resource_id == QualityDegradation.resource_id)
        .where(Resource.deleted_at.is_(None), QualityDegradation.overall_from - QualityScore.overall > drop)
    )
    names = ("resource_id", "overall_from", "overall_to", "fell", "from_at", "to_at", "dimensions", "found_at")
    with library.database.reader() as session:
        rows = session.execute(_cut(listed, QualityDegradation.fell, cursor, limit=limit)).all()
    items = [{name: getattr(row[0], name) for name in names} | {"title": row[1], "overall_now": row[2]} for row in rows]
    return _page(items, "fell", limit=limit)


def outlying(library: Library, *, limit: int, cursor: str | None) -> FindingPage:
    """Documents that stand out, the farthest first; `is_current`: not scored again since."""
    listed = (
        select(QualityOutlier, Resource.title, QualityScore.updated_at)
        .join(Resource, Resource.id == QualityOutlier.resource_id)
        .join(QualityScore, QualityScore.resource_id == QualityOutlier.resource_id)
        .where(Resource.deleted_at.is_(None))
    )
    names = ("resource_id", "severity", "reasons", "compared_with", "scored_at", "found_at")
    with library.database.reader() as session:
        rows = session.execute(_cut(listed, QualityOutlier.severity, cursor, limit=limit)).all()
    items = [
        {name: getattr(row[0], name) for name in names} | {"title": row[1], "is_current": row[2] == row[0].scored_at}
        for row in rows
    ]
    return _page(items, "severity", limit=limit)


def scored_count(session: Session) -> int:
    """How many live documents have a score."""
    counted = select(func.count()).select_from(QualityScore).join(Resource, Resource.id == QualityScore.resource_id)
    return session.scalar(counted.where(Resource.deleted_at.is_(None))) or 0


def history(library: Library, resource_id: UUID, *, limit: int, cursor: UUID | None) -> HistoryPage:
    """The scores that a document was given. Raises `NotFound`."""
    listed = select(QualityHistory).where(QualityHistory.resource_id == resource_id)
    if cursor is not None:
        listed = listed.where(QualityHistory.id < cursor)
    with library.database.reader() as session:
        resources.find(session, resource_id)
        rows = list(session.scalars(listed.order_by(QualityHistory.id.desc()).limit(limit + 1)))
    return HistoryPage(items=rows[:limit], next_cursor=rows[limit - 1].id if len(rows) > limit else None)


def distribution(library: Library, *, language: str | None) -> dict[str, Spread]:
    """The spread of each dimension and of `overall` over all live documents, or those of one language."""
    with library.database.reader() as session:
        return {name: _spread(_counted(session, name, language=language)) for name in (*DIMENSIONS, "overall")}


def _counted(session: Session, name: str, *, language: str | None) -> dict[int, int]:
    step = func.round(getattr(QualityScore, name) * STEPS)
    counted = (
        select(step, func.count())
        .select_from(QualityScore)
        .join(Resource, Resource.id == QualityScore.resource_id)
        .where(Resource.deleted_at.is_(None))
        .group_by(step)
    )
    if language is not None:
        counted = counted.where(Resource.language == language)
    return {int(place): count for place, count in session.execute(counted)}


def _spread(counts: Mapping[int, int]) -> Spread:
    total = sum(counts.values())
    histogram = [0] * BARS
    for step, count in counts.items():
        histogram[min(BARS - 1, step * BARS // STEPS)] += count
    return Spread(
        count=total,
        mean=sum(step * count for step, count in counts.items()) / (total * STEPS) if total else None,
        histogram=histogram,
        quantiles={f"{share:g}": _quantile(counts, share, total=total) for share in QUANTILES},
    )


def _quantile(counts: Mapping[int, int], share: float, *, total: int) -> float | None:
    """Nearest rank: the least score that at least this share of the documents does not exceed."""
    rank, seen = math.ceil(share * total), 0
    for step in sorted(counts):
        seen += counts[step]
        if seen >= rank:
            return step / STEPS
    return None


def _cut(listed: Any, by: InstrumentedAttribute[float], cursor: str | None, *, limit: int) -> Any:
    """The largest first; `limit` + 1 of them, after the place of the cursor."""
    if cursor is not None:
        value, last = _decode(cursor)
        listed = listed.where(or_(by < value, and_(by == value, Resource.id > last)))
    return listed.order_by(by.desc(), Resource.id).limit(limit + 1)


def _page(items: list[dict[str, Any]], by: str, *, limit: int) -> FindingPage:
    last = items[limit - 1] if len(items) > limit else None
    return FindingPage(items=items[:limit], next_cursor=_encode(last[by], last["resource_id"]) if last else None)


def _encode(value: float, resource_id: UUID) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, str(resource_id)]).encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[float, UUID]:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        value, resource_id = json.loads(packed)
        if type(value) not in {int, float} or not math.isfinite(value):
            raise ValueError(value)
        return float(value), UUID(resource_id)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError, OverflowError) as error:
        raise InvalidInput("this cursor does not continue this list") from error
