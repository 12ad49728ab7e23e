"""Quality outliers: documents that score far below the others of their language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.events.outbox import insert_of
from app.knowledge.outliers import Finding, Likeness, finding_of, likeness_of
from app.models.base import now
from app.models.derived import QualityScore
from app.models.quality_finding import QualityOutlier
from app.models.resource import Resource
from app.services.library import Library, Work
from app.services.quality import DIMENSIONS
from app.settings import Settings

EVERYTHING = "*"
"""The group of those whose language has too few documents."""
READ_SLICE = 2000
WRITE_SLICE = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierReport:
    """What a run found. `needed`: the least number of documents, when there were fewer and nothing was judged."""

    examined: int
    found: int
    changed: int
    cleared: int
    needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    resource_id: UUID
    language: str
    scored_at: datetime
    scores: dict[str, float]


def detect(library: Library, *, work: Work) -> OutlierReport:
    """Compare every score with its like; store what stands out, forget what does so no more.

    A second run over the same scores writes nothing.
    """
    settings = library.settings
    documents = list(_read(library))
    enough = len(documents) >= settings.quality_outlier_min_documents
    found = _findings(documents, settings) if enough else {}
    changed = _store(library, documents, found)
    cleared = _clear(library, keep=set(found))
    with work():
        pass
    report = OutlierReport(
        examined=len(documents),
        found=len(found),
        changed=changed,
        cleared=cleared,
        needed=None if enough else settings.quality_outlier_min_documents,
    )
    log.info("quality outliers", examined=report.examined, found=report.found, cleared=cleared, needed=report.needed)
    return report


def _read(library: Library) -> Iterator[_Scored]:
    """Every score of a live document, slice by slice: 0.3 kB each in memory."""
    columns = [getattr(QualityScore, name) for name in DIMENSIONS]
    listed = (
        select(QualityScore.resource_id, QualityScore.updated_at, Resource.language, *columns)
        .join(Resource, Resource.id == QualityScore.resource_id)
        .where(Resource.deleted_at.is_(None))
        .order_by(QualityScore.resource_id)
        .limit(READ_SLICE)
    )
    last: UUID | None = None
    while True:
        with library.database.reader() as session:
            rows = session.execute(listed if last is None else listed.where(QualityScore.resource_id > last)).all()
        for row in rows:
            yield _Scored(
                resource_id=row.resource_id,
                language=(row.language or "").lower().split("-")[0],
                scored_at=row.updated_at,
                scores={name: getattr(row, name) for name in DIMENSIONS},
            )
        if len(rows) < READ_SLICE:
            return
        last = rows[-1].resource_id


def _findings(documents: list[_Scored], settings: Settings) -> dict[UUID, tuple[str, Finding]]:
    groups: dict[str, list[_Scored]] = defaultdict(list)
    for document in documents:
        groups[document.language].append(document)
    large = {name for name, group in groups.items() if name and len(group) >= settings.quality_outlier_min_documents}
    likenesses = {name: _likenesses(groups[name]) for name in large} | {EVERYTHING: _likenesses(documents)}
    found = {}
    for document in documents:
        group = document.language if document.language in large else EVERYTHING
        like = "documents" if group == EVERYTHING else f"documents in this language ({group})"
        finding = finding_of(document.scores, likenesses[group], like=like, bound=settings.quality_outlier_distance)
        if finding is not None:
            found[document.resource_id] = (group, finding)
    return found


def _likenesses(group: list[_Scored]) -> dict[str, Likeness]:
    return {name: likeness_of([document.scores[name] for document in group]) for name in DIMENSIONS}


def _store(library: Library, documents: list[_Scored], found: dict[UUID, tuple[str, Finding]]) -> int:
    rows = [_row(document, *found[document.resource_id]) for document in documents if document.resource_id in found]
    changed = 0
    for start in range(0, len(rows), WRITE_SLICE):
        with library.work() as unit:
            changed += sum(_upsert(unit.session, row) for row in rows[start : start + WRITE_SLICE])
    return changed


def _row(document: _Scored, group: str, finding: Finding) -> dict[str, Any]:
    return {
        "resource_id": document.resource_id,
        "severity": finding.severity,
        "reasons": list(finding.reasons),
        "compared_with": group[:16],
        "scored_at": document.scored_at,
        "found_at": now(),
    }


def _upsert(session: Session, row: dict[str, Any]) -> bool:
    """Whether it was new or differs from what stood there. One that was deleted meanwhile has none."""
    live = select(Resource.id).where(Resource.id == row["resource_id"], Resource.deleted_at.is_(None))
    if session.scalar(live.with_for_update(read=True, key_share=True)) is None:
        return False
    statement: Any = insert_of(session)(QualityOutlier).values(**row)
    new = statement.excluded
    differs = or_(
        QualityOutlier.severity != new.severity,
        QualityOutlier.compared_with != new.compared_with,
        QualityOutlier.scored_at != new.scored_at,
    )
    kept = {name: new[name] for name in row if name != "resource_id"}
    upsert = statement.on_conflict_do_update(index_elements=["resource_id"], set_=kept, where=differs)
    return session.execute(upsert.returning(QualityOutlier.resource_id)).first() is not None


def _clear(library: Library, *, keep: set[UUID]) -> int:
    with library.database.reader() as session:
        known = list(session.scalars(select(QualityOutlier.resource_id).order_by(QualityOutlier.resource_id)))
    gone = [one for one in known if one not in keep]
    for start in range(0, len(gone), WRITE_SLICE):
        with library.work() as unit:
            chosen = delete(QualityOutlier).where(QualityOutlier.resource_id.in_(gone[start : start + WRITE_SLICE]))
            unit.session.execute(chosen.execution_options(synchronize_session=False))
    return len(gone)
