"""The tables as plain SQL sees them: the driver itself and none of our code, past every proxy."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import psycopg2

CONNECT_TIMEOUT_SECONDS = 5
# What of the house is housekeeping: it never ends, so nobody waits for its end.
HOUSEKEEPING = (
    *("canary_task", "reconcile_derived_data", "cleanup_expired_cache"),
    *("monitor_quality_degradation", "detect_quality_outliers"),
)
IS_WORK = f"task NOT IN {HOUSEKEEPING}"
IS_OPEN = "state IN ('waiting', 'claimed', 'sent', 'running')"
# What is derived: kind -> (version of the resource that it is built from, table of what is built).
DERIVED = {
    "search_index": ("version", "search_documents"),
    "embedding": ("content_version", "embeddings"),
    "quality": ("version", "quality_scores"),
    "authors": ("authors_version", "author_sets"),
    "classification": ("content_version", "resource_categories"),
    "citations": ("content_version", "citation_sets"),
}


class Tables:
    """One PostgreSQL database, asked over one connection; not for two threads at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the statement returns, if anything; committed at once."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self._url, connect_timeout=CONNECT_TIMEOUT_SECONDS)
            self._connection.autocommit = True
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the only row."""
        [(value,)] = self.query(sql, *values)
        return value

    def open_calls(self, *, at: datetime | None = None) -> int:
        """Calls that have not ended, or had not at that time, without housekeeping."""
        if at is None:
            return int(self.one(f"SELECT count(*) FROM task_calls WHERE {IS_OPEN} AND {IS_WORK}"))
        return int(
            self.one(
                f"SELECT count(*) FROM task_calls WHERE created_at <= %s AND coalesce(done_at, 'infinity') > %s"
                f" AND ({IS_OPEN} OR done_at IS NOT NULL) AND {IS_WORK}",
                at,
                at,
            )
        )

    def pending_ingestions(self) -> int:
        """Documents that nobody has read yet."""
        return int(self.one("SELECT count(*) FROM resources WHERE ingestion_status = 'pending' AND deleted_at IS NULL"))

    def stale(self) -> list[tuple[str, str, int, int, int]]:
        """(kind, resource, wanted version, built version, noted version) of whatever is older than its input."""
        return [
            (kind, *row)
            for kind, (version, table) in DERIVED.items()
            for row in self.query(
                f"SELECT r.id::text, r.{version}, coalesce(t.built_from, 0), coalesce(s.built_from, 0)"
                f" FROM resources r LEFT JOIN {table} t ON t.resource_id = r.id"
                f" LEFT JOIN derived_states s ON s.resource_id = r.id AND s.kind = '{kind}'"
                " WHERE r.deleted_at IS NULL AND r.content_version > 0"
                f" AND (coalesce(t.built_from, 0) < r.{version} OR coalesce(s.built_from, 0) < r.{version})"
            )
        ]

    def has_converged(self) -> bool:
        """No call open, no document unread, nothing stale."""
        return not (self.open_calls() or self.pending_ingestions() or self.stale())

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
