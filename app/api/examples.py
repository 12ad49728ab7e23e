"""Examples: what each operation answers, for its documentation (a test holds them to their schemas)."""

from __future__ import annotations

from typing import Any

from app.services.archives import EXAMPLE

_ID = "0198c0de-0000-7000-8000-000000000001"
_CALL = "0198c0de-0000-7000-8000-000000000002"
_AT = "2026-01-02T03:04:05Z"
_PART = {"ok": True, "detail": "answers"}
_NOTHING = (
    "description publisher contributor date_modified type format identifier source coverage rights doi arxiv_id "
    "classification_code duplicate_of page_count ingestion_error"
)
_SUMMARY: dict[str, Any] = {
    **dict.fromkeys(_NOTHING.split()),
    "id": _ID,
    "version": 1,
    "content_version": 1,
    "metadata_version": 1,
    "title": "On the Origin of Species",
    "creator": "Charles Darwin",
    "subject": ["biology"],
    "date_created": "1859-11-24",
    "language": "en",
    "relation": [],
    "authors": [],
    "publication_year": 1859,
    "read_status": "unread",
    "ingestion_status": "completed",
    "created_at": _AT,
    "updated_at": _AT,
}
_RESOURCE = {**_SUMMARY, "content": "When on board H.M.S. Beagle, as naturalist, I was much struck with certain facts."}
_HIT = {
    **{name: _SUMMARY[name] for name in ("id", "title", "creator", "language", "format", "created_at")},
    "score": 0.87,
    "snippet": "much struck with certain <mark>facts</mark>",
}
_RUN = {"task": "update_search_index", "args": [_ID], "queue": "default", "priority": 9, "resource_id": _ID}
_LETTER: dict[str, Any] = {
    **_RUN,
    "id": _ID,
    "call_id": _CALL,
    "origin": "call",
    "reason": "permanent_error",
    "attempts": 1,
    "first_at": _AT,
    "last_at": _AT,
    "error": {"type": "invalid", "detail": "it can never succeed"},
    "history": [],
    "closed_at": None,
    "closed_as": None,
}
_CLOSING = {
    "id": _ID,
    "outcome": "replayed",
    "changed": True,
    "call_id": _CALL,
    "detail": "it waits for default, priority 9",
}
_EVENT = {
    "id": _ID,
    "name": "resource.created",
    "data": {"resource_id": _ID},
    "priority": 5,
    "timestamp": _AT,
    "correlation_id": _CALL,
    "causation_id": None,
}
_KIND = {"fresh": 6, "stale": 0, "failed": 0, "oldest_stale_seconds": None}
_DERIVED = {"state": "fresh", "built_from": 1, "attempts": 0, "error": None, "next_due_at": None}
_INTERACTION = {
    "id": _CALL,
    "user_id": "ada",
    "number": 1,
    "resource_id": _ID,
    "type": "annotation",
    "rating": None,
    "at": _AT,
}
_RECOMMENDED = {
    "id": _CALL,
    "title": "The Voyage of the Beagle",
    "creator": "Charles Darwin",
    "score": 0.53,
    "parts": {"content": 0.3, "affinity": 0.1, "citations": 0.0, "quality": 0.12, "recency": 0.01, "popularity": 0.0},
    "reason": {
        "text": "because you annotated “On the Origin of Species”",
        "part": "content",
        "because": {"resource_id": _ID, "title": "On the Origin of Species", "type": "annotation"},
        "about": None,
    },
}
_QUALITY = dict.fromkeys(("accuracy", "completeness", "consistency", "timeliness", "relevance", "overall"), 0.8)
_AUTHOR = {
    **dict.fromkeys(("particles", "suffix"), ""),
    "id": _ID,
    "name": "Charles Darwin",
    "family": "Darwin",
    "given": "Charles",
    "orcid": None,
    "is_group": False,
    "document_count": 1,
    "variant_count": 2,
}
_VARIANT = {"name": "Charles Darwin", "orcid": None, "written": ["Darwin, Charles"], "since": _AT}
_AUTHOR_WHOLE = {
    **_AUTHOR,
    "variants": [
        {**_VARIANT, "id": _ID, "reason": "only_name", "linked_to": None, "evidence": None},
        {
            **_VARIANT,
            "id": _CALL,
            "name": "C. Darwin",
            "written": ["C. Darwin"],
            "reason": "initials",
            "linked_to": _ID,
            "evidence": "wallace|a",
        },
    ],
    "documents": [
        {"id": _ID, "title": _SUMMARY["title"], "name": "Darwin, Charles", "position": 0, "date_created": "1859-11-24"}
    ],
    "next_cursor": None,
}
_CATEGORY = {"code": "570", "parent": "500", "label": "Biology and ecology", "description": "life, cells, genes"}
_CLASSIFICATION = {
    "resource_id": _ID,
    "version": 1,
    "state": "fresh",
    "code": "570",
    "label": "Biology and ecology",
    "decided_by": "model",
    "predicted": "570",
    "confidence": 0.93,
    "alternatives": [{"code": "100", "confidence": 0.03}],
    "needs_review": False,
    "classifier": "zero-shot-2/0/all-MiniLM-L6-v2/onnx-int8/2",
    "built_from": 1,
}
_MEASURED = {"accuracy": 0.98, "log_loss": 0.07, "calibration_error": 0.02}
_BATCH = {
    "id": _CALL,
    "operation": "rescore",
    "filter": {"language": "en"},
    "state": "running",
    "total": 214,
    "progress": {
        "waiting": 150,
        "working": 4,
        "done": 59,
        "failed": 1,
        "cancelled": 0,
        "items_per_second": 12.5,
        "eta_seconds": 12.3,
    },
    "failures": [],
    "asked_by": "api 127.0.0.1",
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": None,
}
_ITEM = {
    "resource_id": _ID,
    "state": "failed",
    "error": {"type": "not-found", "detail": f"there is no resource {_ID}"},
    "ended_at": _AT,
}
_FALL = {
    "resource_id": _ID,
    "title": "On the Origin of Species",
    "overall_from": 0.81,
    "overall_to": 0.52,
    "overall_now": 0.52,
    "fell": 0.29,
    "from_at": _AT,
    "to_at": _AT,
    "found_at": _AT,
    "dimensions": [{"name": "accuracy", "from": 0.9, "to": 0.2}],
}
_OUTLIER = {
    "resource_id": _ID,
    "title": "On the Origin of Species",
    "severity": 4.1,
    "reasons": [
        "accuracy 0.12 is 4.1 deviations below 0.68, the median of 214 documents in this language (en)",
    ],
    "compared_with": "en",
    "is_current": True,
    "scored_at": _AT,
    "found_at": _AT,
}
_SPREAD = {
    "count": 3,
    "mean": 0.7,
    "histogram": [0, 0, 0, 0, 0, 0, 1, 1, 1, 0],
    "quantiles": {"0.05": 0.6, "0.25": 0.6, "0.5": 0.7, "0.75": 0.8, "0.95": 0.8},
}
_CITATION = {
    "id": _CALL,
    "type": "reference",
    "resource_id": _ID,
    "source_title": "HTTP Semantics",
    "target_resource_id": None,
    "target_title": None,
    **dict.fromkeys(("arxiv_id", "pmid", "isbn")),
    "doi": None,
    "rfc": 3986,
    "url": "https://www.rfc-editor.org/info/rfc3986",
    "label": "URI",
    "raw": 'Berners-Lee, T., Fielding, R., and L. Masinter, "Uniform Resource Identifier (URI)", RFC 3986',
    "context": "the generic syntax of URIs [URI] is used",
    "position": 4120,
    "mentions": 7,
}
_NEIGHBOR = {
    "resource_id": _CALL,
    **{name: _SUMMARY[name] for name in ("title", "creator")},
    "score": 0.71,
    "hops": 1,
    "cosine": 0.62,
    "tags": 0.5,
    "same_class": False,
}
_POOL = "size checked_in checked_out overflow total connects_total checkouts_total invalidations_total"

ANSWERS: dict[str, Any] = {
    "ingest_document": {
        "resource_id": _ID,
        "call_id": _CALL,
        "status_url": f"/resources/{_ID}/status",
        "created": True,
    },
    "create_resource": _RESOURCE,
    "list_resources": {"items": [_SUMMARY], "total": 1, "next_cursor": None},
    "read_resource": _RESOURCE,
    "update_resource": {**_RESOURCE, "title": "The Origin of Species", "version": 2},
    "read_resource_status": {"ingestion": {"state": "completed", "error": None}, "derived": {"quality": _DERIVED}},
    "read_resource_quality": {"resource_id": _ID, "state": "fresh", "built_from": 1, **_QUALITY},
    "read_consistency": {"converged": True, "open_calls": 0, "dead_letters": 0, "kinds": {"quality": _KIND}},
    "list_authors": {"items": [_AUTHOR], "total": 1, "next_cursor": None},
    "read_author": _AUTHOR_WHOLE,
    "merge_authors": _AUTHOR_WHOLE,
    "split_author": {"author_id": _ID, "split_off": [_CALL]},
    "read_classification_tree": {"items": [{**_CATEGORY, "code": "500", "parent": None, "children": []}]},
    "create_classification_code": _CATEGORY,
    "update_classification_code": _CATEGORY,
    "list_classification_models": {
        "items": [
            {
                "number": 1,
                "is_active": True,
                "outcome": "activated",
                "embedding_model": "all-MiniLM-L6-v2/onnx-int8/2",
                "label_counts": {"000": 90, "570": 40},
                "metrics": {**_MEASURED, "compared_with": {"name": "zero-shot-2", **_MEASURED, "accuracy": 0.91}},
                "created_at": _AT,
            }
        ],
        "in_force": "trained-1/0/all-MiniLM-L6-v2/onnx-int8/2",
        "next_cursor": None,
    },
    "list_classifications_to_review": {
        "items": [
            {
                "resource_id": _ID,
                "title": "On the Origin of Species",
                "predicted": "500",
                "confidence": 0.48,
                "alternatives": [{"code": "110", "confidence": 0.31}],
            }
        ],
        "total": 1,
        "next_cursor": None,
    },
    "read_resource_classification": _CLASSIFICATION,
    "decide_resource_classification": {**_CLASSIFICATION, "decided_by": "person", "version": 2},
    "undecide_resource_classification": {**_CLASSIFICATION, "version": 3},
    "list_citations": {"items": [_CITATION], "total": 1, "next_cursor": None},
    "list_neighbors": {"items": [_NEIGHBOR]},
    "read_graph_overview": {
        "resources": 190,
        "citations": 2600,
        "resolved": 1100,
        "unresolved": 1500,
        "edges": 1100,
        "by_type": {"reference": 2600},
        "top": [{"resource_id": _ID, "title": "Internet Protocol", "page_rank": 0.031}],
    },
    "export_library": EXAMPLE,
    "import_records": {"outcomes": {"created": 41, "unchanged": 1}, "failures": [{"line": 7, "detail": "not JSON"}]},
    "find": [_HIT],
    "search": {
        "mode": "hybrid",
        "total": 1,
        "items": [_HIT],
        "facets": {"language": {"en": 1}},
        "did_you_mean": None,
        "next_cursor": None,
    },
    "track_interaction": _INTERACTION,
    "list_interactions": {"items": [_INTERACTION], "total": 1, "next_cursor": None},
    "read_profile": {
        "user_id": "ada",
        "state": "fresh",
        "total_interactions": 1,
        "built_from": 1,
        "subjects": {"biology": 0.75},
        "authors": {"Charles Darwin": 0.75},
        "likings": [{"resource_id": _ID, "weight": 1.386, "type": "annotation"}],
        "has_vector": True,
        "model_id": "all-MiniLM-L6-v2/onnx-int8/2",
        "updated_at": _AT,
    },
    "recommend": {"user_id": "ada", "cold_start": False, "items": [_RECOMMENDED]},
    "read_task": {
        **_RUN,
        "id": _CALL,
        "state": "done",
        "superseded": False,
        "attempts": 1,
        "error": None,
        "correlation_id": _ID,
        **dict.fromkeys(("created_at", "due_at", "sent_at", "started_at", "done_at"), _AT),
    },
    "create_batch": {**_BATCH, "failures": []},
    "list_batches": {"items": [{**_BATCH, "failures": []}], "next_cursor": None},
    "read_batch": {**_BATCH, "failures": [_ITEM]},
    "list_batch_items": {"items": [_ITEM], "next_cursor": None},
    "cancel_batch": {**_BATCH, "state": "cancelled", "finished_at": _AT},
    "list_quality_degradations": {"drop": 0.2, "days": 30, "items": [_FALL], "next_cursor": None},
    "list_quality_outliers": {"documents": 214, "needed": 30, "items": [_OUTLIER], "next_cursor": None},
    "read_quality_distribution": {"dimensions": {"overall": _SPREAD}},
    "list_quality_history": {
        "items": [{"at": _AT, "built_from": 1, "scores": _QUALITY}],
        "next_cursor": None,
    },
    "list_dead_letters": {"items": [_LETTER], "next_cursor": None},
    "read_dead_letter": {
        **_LETTER,
        **dict.fromkeys(("traceback", "closed_by", "note", "headers", "payload", "not_replayable_because")),
    },
    "replay_dead_letter": _CLOSING,
    "replay_dead_letters": {
        "replayed": 41,
        "superseded": 1,
        "refused": [{"id": _ID, "detail": "this message cannot be replayed: no task is called make_tea"}],
        "next_cursor": None,
    },
    "read_event_history": [_EVENT],
    "stream_events": f"event: resource.created\nid: {_ID}\n\n",
    "read_pool": dict.fromkeys(_POOL.split(), 20),
    "read_cache_stats": {"hit_rate": 0.75, "hits": 3, "misses": 1, "invalidations": 0},
    "read_broker_status": {
        "transport": "redis",
        "fingerprint": "redis:127.0.0.1:6379/0",
        "active": {"fingerprint": "redis:127.0.0.1:6379/0", "epoch": 1, "activated_at": _AT},
        "ok": True,
        "detail": "answers",
        "sampled_at": _AT,
        "queues": {"default": {"ready": 0, "unacked": 0, "dead": 0, "oldest_seconds": None}},
    },
    "read_workers_status": {"active": {"worker@here": []}, "scheduled": {"outbox": []}, "stats": {"worker@here": {}}},
    "read_liveness": {"alive": True},
    "read_readiness": {
        "ready": True,
        "degraded": False,
        "parts": {
            **dict.fromkeys(("database", "migrations", "broker", "cache"), _PART),
            "relay": {**_PART, "active_broker": "redis:127.0.0.1:6379/0", "epoch": 1},
            "workers": {"ok": True, "detail": "2 alive", "canary_age_seconds": {"default": 3.5}},
        },
    },
    "read_metrics": 'alexandria_http_requests_total{method="GET",route="/livez",status="200"} 1.0\n',
}
FORM = {"file": "(the bytes of a file)"}
