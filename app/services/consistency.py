"""Consistency: what is derived from an old version, for everyone to read, and how it is mended."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.events.hooks import rebuild as rebuild_call
from app.models.author import AuthorSet
from app.models.base import now
from app.models.citation import CitationSet
from app.models.classification import ResourceCategory
from app.models.derived import DerivedKind, DerivedState, Embedding, QualityScore
from app.models.outbox import OPEN_STATES, CallState, DeadLetter, TaskCall, in_state
from app.models.resource import IngestionState, Resource
from app.models.search import SearchDocument
from app.services import citation_targets, classifiers, profiles
from app.services.derived_states import has_content, input_version, is_in_force, is_of_earlier_revision
from app.services.library import Library, Work
from app.tasks.task_names import TaskName

HOUSEKEEPING = (
    TaskName.CANARY,
    TaskName.RECONCILE,
    TaskName.CLEANUP,
    TaskName.MONITOR_DEGRADATION,
    TaskName.DETECT_OUTLIERS,
    TaskName.RETRAIN_CLASSIFIER,
)
RECONCILE_SLICE = 200
# What is built, each row with the version it was built from: what `derived_states` says is not taken for granted.
BUILT: dict[
    DerivedKind, type[SearchDocument | Embedding | QualityScore | AuthorSet | ResourceCategory | CitationSet]
] = {
    DerivedKind.SEARCH_INDEX: SearchDocument,
    DerivedKind.EMBEDDING: Embedding,
    DerivedKind.QUALITY: QualityScore,
    DerivedKind.AUTHORS: AuthorSet,
    DerivedKind.CLASSIFICATION: ResourceCategory,
    DerivedKind.CITATIONS: CitationSet,
}
# Kinds whose rows others see until they are taken away: of a deleted resource their task has work too.
_SHOWN_TO_OTHERS = frozenset((DerivedKind.SEARCH_INDEX, DerivedKind.AUTHORS))

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOverview:
    """Resources of one kind. A failed one is stale, and nobody will try again unless asked to."""

    fresh: int
    stale: int
    failed: int
    oldest_stale_seconds: float | None


def overview(session: Session, *, embedding_model: str) -> dict[str, Any]:
    """`GET /consistency`: converged when nothing is stale and no call for it is open."""
    kinds = {kind: _kind_overview(session, kind, embedding_model) for kind in DerivedKind}
    open_calls = _count(session, select(func.count()).where(in_state(*OPEN_STATES), _is_work()))
    pending = _count(
        session,
        select(func.count()).where(Resource.ingestion_status == IngestionState.PENDING, Resource.deleted_at.is_(None)),
    )
    dead = _count(session, select(func.count()).select_from(DeadLetter).where(DeadLetter.closed_at.is_(None)))
    stale_profiles = profiles.count_stale(session, embedding_model=embedding_model)
    wrong_targets = citation_targets.count_wrong(session)
    stale = sum(kind.stale for kind in kinds.values()) + stale_profiles + wrong_targets
    return {
        "converged": not (stale or open_calls or pending),
        "open_calls": open_calls,
        "pending_ingestions": pending,
        "dead_letters": dead,
        "stale_profiles": stale_profiles,
        "stale_citation_targets": wrong_targets,
        "kinds": {str(kind): asdict(counts) for kind, counts in kinds.items()},
    }


def resource_status(session: Session, resource: Resource, *, embedding_model: str) -> dict[str, Any]:
    """`GET /resources/{id}/status`: where ingestion is, and each derived kind."""
    calls = list(session.scalars(select(TaskCall).where(TaskCall.subject == resource.id, in_state(*OPEN_STATES))))
    states = {
        state.kind: state
        for state in session.scalars(select(DerivedState).where(DerivedState.resource_id == resource.id))
    }
    built = {kind: _built_from(session, kind, resource, states.get(kind)) for kind in DerivedKind}
    outdated = _outdated(session, resource, embedding_model=embedding_model)
    reads = [call for call in calls if call.task == TaskName.INGEST_RESOURCE]
    reading = any(call.state == CallState.RUNNING for call in reads)
    ingestion = IngestionState.RUNNING if reading else resource.ingestion_status
    derived = {
        str(kind): _kind_status(
            resource,
            kind,
            states.get(kind),
            [call for call in calls if call.kind == kind],
            built=built[kind],
            is_outdated=kind in outdated or not is_in_force(states.get(kind), kind),
        )
        for kind in DerivedKind
    }
    return {
        "ingestion": {
            "state": str(ingestion),
            "error": resource.ingestion_error or next((c.last_error for c in reads if c.last_error), None),
            "started_at": resource.ingestion_started_at,
            "finished_at": resource.ingestion_finished_at,
        },
        "derived": derived,
    }


def reconcile(*, embedding_model: str, work: Work, most: int = RECONCILE_SLICE) -> dict[str, int]:
    """Find what is stale though no call is open for it, and call for its rebuild: `most` calls of each kind.

    Returns how many calls were made for each kind. What failed for good is left to people.
    """
    with work() as unit:
        found = {kind: _forgotten(kind, embedding_model).limit(most) for kind in DerivedKind}
        stale = {kind: unit.session.execute(rows).all() for kind, rows in found.items()}
        unit.enqueue(
            *(rebuild_call(kind, str(row.id), version=row.version) for kind, rows in stale.items() for row in rows)
        )
        return {str(kind): len(rows) for kind, rows in stale.items()}


def repair(library: Library, *, most: int = RECONCILE_SLICE) -> dict[str, int]:
    """What the reconciler does, slice after slice until nothing is left to call for; empty when nothing was."""
    called: Counter[str] = Counter()
    while any((made := reconcile(embedding_model=library.embedding_model, work=library.work, most=most)).values()):
        called.update(made)
        log.info("called for what is stale", **made)
    if behind := profiles.reconcile_all(library, most=most):
        called["user_profile"] += behind
    if wrong := citation_targets.reconcile_all(library):
        called["citation_targets"] += wrong
    return dict(called)


def rebuild(library: Library, kind: DerivedKind) -> int:
    """Make `kind` stale for every resource, failed ones included: the reconciler's calls build it anew.

    Live results stay until each is replaced. Returns the number of resources.
    """
    mended = 0
    with library.work() as unit:
        if kind is DerivedKind.SEARCH_INDEX:
            library.index.distrust(unit.session)
        unit.session.execute(
            update(DerivedState).where(DerivedState.kind == kind).values(built_from=0, failed_version=None, error=None)
        )
    while True:
        with library.work() as unit:
            stale = unit.session.execute(_forgotten(kind, library.embedding_model).limit(RECONCILE_SLICE)).all()
            unit.enqueue(*(rebuild_call(kind, str(row.id), version=row.version) for row in stale))
        if not stale:
            return mended
        mended += len(stale)


def _stale_condition(kind: DerivedKind, embedding_model: str) -> ColumnElement[bool]:
    """Over `_with_state`: what is built, or what is noted of it, is older than its input."""
    wanted, table = input_version(kind), BUILT[kind]
    is_older = or_(func.coalesce(DerivedState.built_from, 0) < wanted, func.coalesce(table.built_from, 0) < wanted)
    model = _of_another_model(embedding_model).get(kind)
    return or_(is_older, is_of_earlier_revision(kind) if model is None else model)


def _of_another_model(embedding_model: str) -> dict[DerivedKind, ColumnElement[bool]]:
    """By kind: what was built by a model that is no more in force, from whatever version."""
    return {
        DerivedKind.EMBEDDING: Embedding.model_id != embedding_model,
        DerivedKind.CLASSIFICATION: ResourceCategory.classifier != classifiers.in_force(embedding_model),
    }


def _outdated(session: Session, resource: Resource, *, embedding_model: str) -> set[DerivedKind]:
    """The kinds of one resource that a model built which is no more in force."""
    return {
        kind
        for kind, is_outdated in _of_another_model(embedding_model).items()
        if session.scalar(select(is_outdated).where(BUILT[kind].resource_id == resource.id))
    }


def _failed_condition(kind: DerivedKind, embedding_model: str) -> ColumnElement[bool]:
    return and_(
        _stale_condition(kind, embedding_model), func.coalesce(DerivedState.failed_version, -1) >= input_version(kind)
    )


def _with_state(kind: DerivedKind, *columns: Any) -> Select[Any]:
    """Every resource, with its state and its row of this kind, if there are any."""
    same = and_(DerivedState.resource_id == Resource.id, DerivedState.kind == kind)
    table = BUILT[kind]
    joined = select(*columns).select_from(Resource).outerjoin(DerivedState, same)
    return joined.outerjoin(table, table.resource_id == Resource.id)


def _built_from(session: Session, kind: DerivedKind, resource: Resource, state: DerivedState | None) -> int:
    table = BUILT[kind]
    built = session.scalar(select(table.built_from).where(table.resource_id == resource.id))
    return min(built or 0, state.built_from if state else 0)


def _kind_overview(session: Session, kind: DerivedKind, embedding_model: str) -> KindOverview:
    stale, failed = _stale_condition(kind, embedding_model), _failed_condition(kind, embedding_model)
    waiting = and_(stale, ~failed)
    counted = _with_state(
        kind,
        func.count(case((~stale, 1))),
        func.count(case((waiting, 1))),
        func.count(case((failed, 1))),
        func.min(case((waiting, Resource.updated_at))),
    ).where(has_content())
    fresh, stale_count, failed_count, oldest = session.execute(counted).one()
    return KindOverview(fresh=fresh, stale=stale_count, failed=failed_count, oldest_stale_seconds=_age_seconds(oldest))


def _age_seconds(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (now() - moment).total_seconds())


def _kind_status(
    resource: Resource,
    kind: DerivedKind,
    state: DerivedState | None,
    calls: list[TaskCall],
    *,
    built: int,
    is_outdated: bool,
) -> dict[str, Any]:
    """`is_outdated`: built by a model or an algorithm that is no more in force, from whatever version."""
    wanted = getattr(resource, input_version(kind).key)
    is_fresh = built >= wanted and not is_outdated
    failed = bool(state and state.failed_version is not None and state.failed_version >= wanted and not is_fresh)
    running = any(call.state == CallState.RUNNING for call in calls)
    waiting = [call for call in calls if call.state == CallState.WAITING]
    error = state.error if state and state.error else next((call.last_error for call in calls if call.last_error), None)
    has_text = resource.content_version > 0
    if not has_text and resource.ingestion_status == IngestionState.FAILED:  # there is nothing to build it from
        failed, error = True, resource.ingestion_error
    return {
        "state": _state_name(is_fresh=has_text and is_fresh, running=running, failed=failed and not calls),
        "built_from": built,
        "attempts": max([state.attempts if state else 0, *(call.attempts for call in calls)]),
        "error": error,
        "next_due_at": min((call.due_at for call in waiting), default=None),
    }


def _state_name(*, is_fresh: bool, running: bool, failed: bool) -> str:
    if running:
        return "running"
    if is_fresh:
        return "fresh"
    return "failed" if failed else "stale"


def _forgotten(kind: DerivedKind, embedding_model: str) -> Select[Any]:
    """Stale, not failed, and no call open for it; for some kinds also what deleted resources have left."""
    call = aliased(TaskCall)
    open_call = exists().where(call.subject == Resource.id, call.kind == kind, in_state(*OPEN_STATES, of=call))
    wanted: InstrumentedAttribute[int] = input_version(kind)
    is_stale, has_failed = _stale_condition(kind, embedding_model), _failed_condition(kind, embedding_model)
    stale: ColumnElement[bool] = and_(has_content(), is_stale, ~has_failed)
    if kind in _SHOWN_TO_OTHERS:
        left_behind = and_(Resource.deleted_at.is_not(None), BUILT[kind].resource_id.is_not(None))
        stale = or_(stale, left_behind)
    return _with_state(kind, Resource.id, wanted.label("version")).where(stale, ~open_call).order_by(Resource.id)


def _is_work() -> ColumnElement[bool]:
    return TaskCall.task.not_in(HOUSEKEEPING)


def _count(session: Session, statement: Select[int]) -> int:
    return session.scalar(statement) or 0
