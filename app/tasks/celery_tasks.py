"""The tasks: one line of work each, done by a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import structlog

from app.content import reader, safe_fetch  # noqa: F401 — loaded once, before the worker forks
from app.services import (
    authors,
    batch_chunks,
    batch_tending,
    citation_graph,
    citation_ranks,
    citation_targets,
    citations,
    classifier_training,
    classifying,
    consistency,
    embeddings,
    ingestion,
    profiles,
    quality,
    quality_degradation,
    quality_outliers,
    search_indexing,
    upkeep,
)
from app.services.library import Library, Work
from app.tasks import document_readers, engine_at_start, room, watchdog, worker_presence
from app.tasks.celery_app import celery_app
from app.tasks.database_task import DatabaseTask
from app.tasks.task_names import TaskName

log = structlog.get_logger(__name__)

worker_presence.announce_workers()
document_readers.prepare_workers()
watchdog.watch_workers()
room.give_workers_a_room()
engine_at_start.end_workers_without_their_engine()


def _task(name: TaskName, **options: Any) -> Callable[[Callable[..., None]], DatabaseTask]:
    register: Callable[[Callable[..., None]], DatabaseTask] = celery_app.task(
        name=str(name), base=DatabaseTask, bind=False, **options
    )
    return register


@_task(TaskName.INGEST_RESOURCE)
def ingest_resource_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Fetch and read the document of a resource."""
    ingestion.ingest(library, resource_id, work=work)


@_task(TaskName.REGENERATE_EMBEDDING)
def regenerate_embedding_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Embed the text of a resource."""
    embeddings.regenerate(library, resource_id, work=work)


@_task(TaskName.RECOMPUTE_QUALITY, max_retries=2)
def recompute_quality_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Score a resource."""
    quality.recompute(library, resource_id, work=work)


@_task(TaskName.UPDATE_SEARCH_INDEX)
def update_search_index_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Write a resource into the search index, or take it out."""
    search_indexing.update(library, resource_id, work=work)


@_task(TaskName.NORMALIZE_AUTHORS)
def normalize_authors_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Tell who the authors of a resource are."""
    authors.normalise(library, resource_id, work=work)


@_task(TaskName.CLASSIFY_RESOURCE)
def classify_resource_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Say which class a resource belongs to."""
    classifying.classify(library, resource_id, work=work)


@_task(TaskName.REFRESH_RECOMMENDATION_PROFILE)
def refresh_recommendation_profile_task(library: Library, user_id: str, *, work: Work) -> None:
    """Build what a user likes from what they did."""
    profiles.refresh(library, user_id, work=work)


@_task(TaskName.EXTRACT_CITATIONS)
def extract_citations_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Find what a resource cites."""
    citations.extract(library, resource_id, work=work)


@_task(TaskName.UPDATE_CITATION_GRAPH)
def update_citation_graph_task(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Resolve the citations of a resource, and those that may cite it."""
    citation_graph.update(library, resource_id, work=work)


@_task(TaskName.RANK_CITATION_GRAPH)
def rank_citation_graph_task(library: Library, *, work: Work) -> None:
    """Give every resource that cites or is cited its PageRank."""
    citation_ranks.rank(library, work=work)


# Its retries outlast every time to live: what it should have dropped is gone by then.
@_task(TaskName.INVALIDATE_CACHE, max_retries=20, first_delay_seconds=0.5, is_void_in_the_end=True)
def invalidate_cache_task(library: Library, cache_keys: list[str], *, work: Work) -> None:
    """Drop cached values for certain: tried again while the cache is away."""
    upkeep.invalidate(library, cache_keys, work=work)


@_task(TaskName.RECONCILE)
def reconcile_derived_data(library: Library, *, work: Work) -> None:
    """Find what is stale and forgotten, and call for its rebuild."""
    batch_tending.revive(library)
    consistency.reconcile(embedding_model=library.embedding_model, work=work)
    profiles.reconcile(library)
    citation_targets.reconcile(library)
    upkeep.forget_canaries(library)


@_task(TaskName.BATCH_PROCESS)
def batch_process_resources_task(library: Library, batch_id: UUID, chunk: int | None, *, work: Work) -> None:
    """Begin the items of a chunk; without a number: freeze, settle and end the batch."""
    if chunk is None:
        batch_tending.tend(library, batch_id, work=work)
    else:
        batch_chunks.process_chunk(library, batch_id, chunk, work=work)


@_task(TaskName.MONITOR_DEGRADATION)
def monitor_quality_degradation(library: Library, *, work: Work) -> None:
    """Find documents whose quality fell, and forget those that have recovered."""
    quality_degradation.monitor(library, work=work)


@_task(TaskName.DETECT_OUTLIERS)
def detect_quality_outliers(library: Library, *, work: Work) -> None:
    """Find documents that score far below their like."""
    quality_outliers.detect(library, work=work)


@_task(TaskName.CLEANUP)
def cleanup_expired_cache(library: Library, *, work: Work) -> None:
    """Remove what is past its retention: events, ended calls, effects, keys, deleted resources."""
    upkeep.clean_up(library, work=work)


@_task(TaskName.RETRAIN_CLASSIFIER, max_retries=2)
def retrain_classification_model(library: Library, *, work: Work) -> None:
    """Train a classifier from what people decided, and keep the better of it and the one in force."""
    report = classifier_training.retrain(library, work=work)
    found = report.sentence(needed=library.settings.classification_min_labels)
    log.info("classifier training", found=found, **asdict(report))


@_task(TaskName.CANARY)
def canary_task(library: Library, queue: str, *, work: Work) -> None:
    """Show that a queue is served: its done-mark is all it leaves."""
