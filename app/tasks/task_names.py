"""The names of all tasks: what the hook table and the messages speak of."""

from __future__ import annotations

from enum import StrEnum


class TaskName(StrEnum):
    """Imperative; the name on the wire is the name of the function."""

    INGEST_RESOURCE = "ingest_resource_task"
    REGENERATE_EMBEDDING = "regenerate_embedding_task"
    RECOMPUTE_QUALITY = "recompute_quality_task"
    UPDATE_SEARCH_INDEX = "update_search_index_task"
    NORMALIZE_AUTHORS = "normalize_authors_task"
    CLASSIFY_RESOURCE = "classify_resource_task"
    REFRESH_RECOMMENDATION_PROFILE = "refresh_recommendation_profile_task"
    EXTRACT_CITATIONS = "extract_citations_task"
    UPDATE_CITATION_GRAPH = "update_citation_graph_task"
    RANK_CITATION_GRAPH = "rank_citation_graph_task"
    INVALIDATE_CACHE = "invalidate_cache_task"
    RECONCILE = "reconcile_derived_data"
    CLEANUP = "cleanup_expired_cache"
    RETRAIN_CLASSIFIER = "retrain_classification_model"
    CANARY = "canary_task"
    BATCH_PROCESS = "batch_process_resources_task"
    MONITOR_DEGRADATION = "monitor_quality_degradation"
    DETECT_OUTLIERS = "detect_quality_outliers"
