"""Staleness by the tables themselves: what `/consistency` says, worked out again by nothing of ours."""

from __future__ import annotations

from typing import Any

from tests.e2e.deployment import Deployment

# kind: (version of the resource it is built from, table of what is built)
KINDS = {
    "search_index": ("version", "search_documents"),
    "embedding": ("content_version", "embeddings"),
    "quality": ("version", "quality_scores"),
    "authors": ("authors_version", "author_sets"),
    "classification": ("content_version", "resource_categories"),
    "citations": ("content_version", "citation_sets"),
}


def stale_by_the_tables(deployment: Deployment) -> list[tuple[Any, ...]]:
    """Every (kind, resource, wanted, built, noted) whose derived row is older than its input, or missing."""
    return [
        (kind, *row)
        for kind, (version, table) in KINDS.items()
        for row in deployment.query(
            f"SELECT r.id, r.{version}, t.built_from, s.built_from FROM resources r"
            f" LEFT JOIN {table} t ON t.resource_id = r.id"
            f" LEFT JOIN derived_states s ON s.resource_id = r.id AND s.kind = '{kind}'"
            " WHERE r.deleted_at IS NULL AND r.content_version > 0"
            f" AND (coalesce(t.built_from, 0) < r.{version} OR coalesce(s.built_from, 0) < r.{version})"
        )
    ]
