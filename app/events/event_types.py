"""Every event of the system, and which of them are durable."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """`{entity}.{what happened}`, in the past tense."""

    RESOURCE_CREATED = "resource.created"
    RESOURCE_UPDATED = "resource.updated"
    RESOURCE_DELETED = "resource.deleted"
    RESOURCE_CONTENT_CHANGED = "resource.content_changed"
    RESOURCE_METADATA_CHANGED = "resource.metadata_changed"
    RESOURCE_IDENTITY_CHANGED = "resource.identity_changed"

    INGESTION_REQUESTED = "ingestion.requested"
    INGESTION_COMPLETED = "ingestion.completed"
    INGESTION_FAILED = "ingestion.failed"

    EMBEDDING_GENERATED = "embedding.generated"
    QUALITY_COMPUTED = "quality.computed"
    SEARCH_INDEX_UPDATED = "search.index_updated"
    AUTHORS_EXTRACTED = "authors.extracted"
    AUTHORS_NORMALIZED = "authors.normalized"
    CLASSIFICATION_COMPLETED = "classification.completed"

    USER_INTERACTION_TRACKED = "user.interaction_tracked"
    USER_PROFILE_UPDATED = "user.profile_updated"

    BATCH_CREATED = "batch.created"
    BATCH_COMPLETED = "batch.completed"
    BATCH_CANCELLED = "batch.cancelled"
    CITATIONS_EXTRACTED = "citations.extracted"
    GRAPH_EDGE_ADDED = "graph.edge_added"
    GRAPH_EDGE_REMOVED = "graph.edge_removed"

    SEARCH_EXECUTED = "search.executed"
    CACHE_HIT = "cache.hit"
    CACHE_MISS = "cache.miss"
    CACHE_INVALIDATED = "cache.invalidated"


# In-process only: listeners and counters, never a database write.
IN_PROCESS = frozenset(
    {EventType.SEARCH_EXECUTED, EventType.CACHE_HIT, EventType.CACHE_MISS, EventType.CACHE_INVALIDATED}
)
DURABLE = frozenset(EventType) - IN_PROCESS
# About a person who uses the library: their data name a `user_id`, and no resource has changed.
OF_USERS = frozenset({EventType.USER_INTERACTION_TRACKED, EventType.USER_PROFILE_UPDATED})
