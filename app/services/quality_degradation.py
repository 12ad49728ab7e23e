"""Quality degradation: documents whose overall score fell within some weeks, found in the history of their scores.

A score holds until the next one, so the score in force when the window begins counts, however old it is. What fell is
the difference between the best score of the window and the score now: a document that fell and rose again has not
fallen. `overall` is a weighted mean, so the loss of a dimension times its weight is its share in the fall.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from app.events.outbox import insert_of
from app.models.base import now
from app.models.derived import QualityHistory, QualityScore
from app.models.quality_finding import QualityDegradation
from app.models.resource import Resource
from app.services.library import Library, Work
from app.services.quality import DIMENSIONS

SLICE = 500
"""Documents in one transaction."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationReport:
    """Documents examined, fallen ones, those new or changed since the last run, and those that fell no more."""

    examined: int
    found: int
    changed: int
    cleared: int


def monitor(library: Library, *, work: Work) -> DegradationReport:
    """Store what fell, forget what has recovered, slice by slice of documents.

    A second run over the same scores writes nothing.
    """
    settings = library.settings
    since = now() - timedelta(days=settings.quality_degradation_days)
    examined = found = changed = cleared = 0
    last: UUID | None = None
    while True:
        with library.database.reader() as session:
            ids = list(session.scalars(_next(last)))
            end = ids[-1] if len(ids) == SLICE else None
            fallen = _fallen(session, ids, since=since, drop=settings.quality_degradation_drop) if ids else []
            known = _known(session, after=last, up_to=end)
        new = [row for row in fallen if known.get(row["resource_id"]) != (row["from_at"], row["to_at"])]
        gone = known.keys() - {row["resource_id"] for row in fallen}
        if new or gone:
            with library.work() as unit:
                changed += sum(_upsert(unit.session, row) for row in new)
                cleared += _clear(unit.session, gone)
        examined, found = examined + len(ids), found + len(fallen)
        if end is None:
            break
        last = end
    with work():
        pass
    report = DegradationReport(examined=examined, found=found, changed=changed, cleared=cleared)
    log.info("quality degradation", examined=examined, found=found, changed=changed, cleared=cleared)
    return report


def needed_since(moment: datetime, *, days: int) -> Any:
    """Over `QualityHistory`: whether a score is in force at some time of the last `days`, or is the newest of all."""
    newer = aliased(QualityHistory)
    replaced = exists().where(
        newer.resource_id == QualityHistory.resource_id,
        newer.at < moment - timedelta(days=days),
        or_(newer.at > QualityHistory.at, and_(newer.at == QualityHistory.at, newer.id > QualityHistory.id)),
    )
    return ~replaced


def _next(last: UUID | None) -> Select[Any]:
    listed = (
        select(QualityScore.resource_id)
        .join(Resource, Resource.id == QualityScore.resource_id)
        .where(Resource.deleted_at.is_(None))
        .order_by(QualityScore.resource_id)
        .limit(SLICE)
    )
    return listed if last is None else listed.where(QualityScore.resource_id > last)


def _fallen(session: Session, ids: list[UUID], *, since: datetime, drop: float) -> list[dict[str, Any]]:
    """The rows of those among `ids` that fell: the best of the window by one statement, then the scores of each."""
    overall = QualityHistory.scores["overall"].as_float()
    prior = aliased(QualityHistory)
    in_force = (
        select(func.max(prior.at)).where(prior.resource_id == QualityHistory.resource_id, prior.at < since)
    ).scalar_subquery()
    in_window = or_(QualityHistory.at >= since, QualityHistory.at == in_force)
    best = (
        select(QualityHistory.resource_id, func.max(overall).label("overall"))
        .where(QualityHistory.resource_id.in_(ids), in_window)
        .group_by(QualityHistory.resource_id)
    ).subquery()
    fell = (
        select(QualityScore, best.c.overall)
        .join(best, best.c.resource_id == QualityScore.resource_id)
        .where(best.c.overall - QualityScore.overall > drop)
        .order_by(QualityScore.resource_id)
    )
    rows = []
    for score, highest in session.execute(fell).all():
        of_resource = (QualityHistory.resource_id == score.resource_id, in_window, overall >= highest)
        peak = session.scalars(select(QualityHistory).where(*of_resource).order_by(QualityHistory.id.desc())).first()
        if peak is not None:
            rows.append(_row(score, peak))
    return rows


def _row(score: QualityScore, peak: QualityHistory) -> dict[str, Any]:
    lost = {name: (peak.scores[name] - getattr(score, name)) * score.weights.get(name, 0) for name in DIMENSIONS}
    fallen = sorted((name for name in DIMENSIONS if lost[name] > 0), key=lambda name: -lost[name])
    return {
        "resource_id": score.resource_id,
        "overall_from": peak.scores["overall"],
        "overall_to": score.overall,
        "fell": peak.scores["overall"] - score.overall,
        "from_at": peak.at,
        "to_at": score.updated_at,
        "dimensions": [{"name": one, "from": peak.scores[one], "to": getattr(score, one)} for one in fallen],
        "found_at": now(),
    }


def _upsert(session: Session, row: dict[str, Any]) -> bool:
    """Whether it was new or differs from what stood there. One that was deleted meanwhile has none."""
    live = select(Resource.id).where(Resource.id == row["resource_id"], Resource.deleted_at.is_(None))
    if session.scalar(live.with_for_update(read=True, key_share=True)) is None:
        return False
    statement: Any = insert_of(session)(QualityDegradation).values(**row)
    new = statement.excluded
    differs = or_(QualityDegradation.from_at != new.from_at, QualityDegradation.to_at != new.to_at)
    kept = {name: new[name] for name in row if name != "resource_id"}
    upsert = statement.on_conflict_do_update(index_elements=["resource_id"], set_=kept, where=differs)
    return session.execute(upsert.returning(QualityDegradation.resource_id)).first() is not None


def _known(session: Session, *, after: UUID | None, up_to: UUID | None) -> dict[UUID, tuple[datetime, datetime]]:
    """What stands between two documents, also of those that are deleted: from when to when they fell."""
    columns = (QualityDegradation.resource_id, QualityDegradation.from_at, QualityDegradation.to_at)
    stored = select(*columns)
    if after is not None:
        stored = stored.where(QualityDegradation.resource_id > after)
    if up_to is not None:
        stored = stored.where(QualityDegradation.resource_id <= up_to)
    return {row.resource_id: (row.from_at, row.to_at) for row in session.execute(stored)}


def _clear(session: Session, ids: Set[UUID]) -> int:
    """Forget these: recovered, out of the window, or deleted."""
    chosen = delete(QualityDegradation).where(QualityDegradation.resource_id.in_(sorted(ids)))
    removed = chosen.returning(QualityDegradation.resource_id).execution_options(synchronize_session=False)
    return len(session.execute(removed).all())
