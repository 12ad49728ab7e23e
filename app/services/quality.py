"""Quality: the five dimensions of a resource, scored from its text and metadata."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from app.cache.keys import quality_key
from app.events.event_types import EventType
from app.knowledge.quality import QualityInput, QualityReport, QualityWeights, score_quality
from app.models.base import now
from app.models.derived import DerivedKind, QualityHistory, QualityScore
from app.models.resource import Resource
from app.services import derived_states
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork

DIMENSIONS = ("accuracy", "completeness", "consistency", "timeliness", "relevance")


def recompute(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Score a resource, unless its score is built from this version already."""
    with library.database.reader() as session:
        resource = session.scalars(
            select(Resource)
            .where(Resource.id == resource_id, derived_states.has_content())
            .options(undefer(Resource.content))
        ).one_or_none()
        known = session.get(QualityScore, resource_id)
        state = derived_states.built_in_force(session, resource_id, DerivedKind.QUALITY)
    if resource is None:
        with work():
            return
    version = resource.version
    if known is not None and known.built_from == state == version:
        with work() as unit:
            unit.built(version)
            return
    weights = QualityWeights()
    report = score_quality(_input(resource), weights=weights)
    with work() as unit:
        _store(unit, resource_id, report, weights=asdict(weights), version=version)


def find(session: Session, resource_id: UUID) -> QualityScore | None:
    """The score of a resource, if it has one yet."""
    return session.get(QualityScore, resource_id)


def read(library: Library, resource_id: UUID, *, build: int) -> dict[str, Any] | None:
    """The score of a resource as plain values, if it has one yet; a cached one must be of `build` or later.

    Not of the version it is built from: a score that is asked for again is built from the same version once more.
    """

    def compute() -> dict[str, Any] | None:
        with library.database.reader() as session:
            score = find(session, resource_id)
        return _plain(score) if score is not None else None

    return library.cache.get_or_compute(quality_key(str(resource_id)), compute, version=build)


def _plain(score: QualityScore) -> dict[str, Any]:
    scores = {name: getattr(score, name) for name in (*DIMENSIONS, "overall")}
    return {
        "resource_id": str(score.resource_id),
        **scores,
        "weights": score.weights,
        "reasons": score.reasons,
        "built_from": score.built_from,
        "updated_at": score.updated_at.isoformat(),
    }


def _input(resource: Resource) -> QualityInput:
    return QualityInput(
        text=resource.content or "",
        title=resource.title,
        description=resource.description or "",
        creators=tuple(resource.authors or ([resource.creator] if resource.creator else [])),
        publisher=resource.publisher or "",
        subjects=tuple(resource.subject),
        language=resource.language or "",
        source=resource.source or "",
        identifier=resource.identifier or "",
        rights=resource.rights or "",
        date_created=resource.date_created,
        date_modified=resource.date_modified,
        format=resource.format or "",
        today=now().date(),
    )


def _store(
    unit: UnitOfWork, resource_id: UUID, report: QualityReport, *, weights: dict[str, Any], version: int
) -> None:
    session = unit.session
    if derived_states.lock_for_build(session, resource_id, DerivedKind.QUALITY, version=version) is None:
        return
    unit.built(version)
    known = session.get(QualityScore, resource_id)
    state = derived_states.built_in_force(session, resource_id, DerivedKind.QUALITY)
    if known is not None and known.built_from == state == version:
        return  # of two executions at once, the other has written it
    row = known or QualityScore(resource_id=resource_id)
    scores = {name: getattr(report, name) for name in (*DIMENSIONS, "overall")}
    for name, value in scores.items():
        setattr(row, name, value)
    row.weights, row.reasons, row.built_from, row.updated_at = weights, list(report.reasons), version, now()
    session.add(row)
    session.add(QualityHistory(resource_id=resource_id, scores=scores, built_from=version))
    derived_states.mark_built(session, resource_id, DerivedKind.QUALITY, version=version)
    unit.emit(
        EventType.QUALITY_COMPUTED,
        {"resource_id": str(resource_id), "version": version, "overall": report.overall},
    )
    build = derived_states.build_number(session, resource_id, DerivedKind.QUALITY)
    unit.supersede(quality_key(str(resource_id)), _plain(row), version=build)
