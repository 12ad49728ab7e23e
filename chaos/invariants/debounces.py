"""I12: the edits within a debounce are joined, and the last state is built.

A call waits for its debounce after the last edit, and all edits are joined to it meanwhile: no other call of the same
work is made before it is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from chaos.invariants.observed import Observed
from chaos.invariants.verdict import Verdict, verdict

# The hook table, said once more by the checker: kind -> (seconds of its debounce, the events that have it built).
JOINED: dict[str, tuple[float, tuple[str, ...]]] = {
    "search_index": (1, ("resource.created", "resource.updated", "resource.deleted")),
    "embedding": (5, ("resource.created", "resource.content_changed")),
    "quality": (10, ("resource.created", "resource.content_changed", "resource.metadata_changed")),
    "authors": (60, ("resource.created", "resource.deleted", "authors.extracted")),
    "classification": (20, ("resource.created", "resource.content_changed")),
    "citations": (5, ("resource.created", "resource.content_changed")),
}
# An edit is dated before its transaction waits for the relay's, which claims the call that it would have joined.
CLAIMED_WITHIN = timedelta(seconds=0.1)


def edits_are_joined(seen: Observed) -> Verdict:
    """I12: few runs of many edits, the last of which built the last state.

    Of edits that come all at once, so many runs for each resource and kind (`runs_per_key`); of a load over time, no
    more runs than edits, and no two calls made within one debounce: the first, of a new resource, is due at once.
    """
    stale = [f"{kind} of {one} is not of the last state" for kind, one, *_ in seen.tables.stale()]
    since = min((fault.began for fault in seen.faults), default=seen.warm_at)
    counted = seen.tables.query(_RUNS_PER_KEY, since, since)
    most = seen.bounds.runs_per_key
    if most is None:
        breaches = [*_more_than_edits(seen), *_made_too_soon(seen)]
    else:
        breaches = [f"{kind} of {one} ran {runs} times" for one, kind, runs in counted if runs > most]
    return verdict(
        [*breaches, *stale],
        runs=sum(runs for *_, runs in counted),
        most_runs=max((runs for *_, runs in counted), default=0),
        edits=seen.tables.one(_EDITS, since, since),
    )


def _more_than_edits(seen: Observed) -> Iterator[str]:
    for kind, (_, events) in JOINED.items():
        for one, runs, edits in seen.tables.query(_MORE_RUNS, list(events), kind):
            yield f"{kind} of {one} ran {runs} times for {edits} edits"


def _made_too_soon(seen: Observed) -> Iterator[str]:
    for kind, (seconds, _) in JOINED.items():
        debounce = timedelta(seconds=seconds * seen.debounce_scale)
        for one, after in seen.tables.query(_MADE_WITHIN, kind, debounce - CLAIMED_WITHIN):
            yield f"{kind} of {one} was called again {after} after it was called, within {debounce}"


_RUNS_PER_KEY = """
    SELECT subject::text, kind, count(*) FROM effects
    WHERE kind IS NOT NULL AND subject IS NOT NULL AND (%s::timestamptz IS NULL OR at >= %s) GROUP BY subject, kind
"""
_EDITS = """
    SELECT count(*) FROM events WHERE name = 'resource.updated' AND (%s::timestamptz IS NULL OR timestamp >= %s)
"""
_MORE_RUNS = """
    SELECT * FROM (
        SELECT f.subject::text, count(*) AS runs, (
            SELECT count(*) FROM events e WHERE e.subject = f.subject AND e.name = ANY(%s)
        ) AS edits
        FROM effects f WHERE f.kind = %s AND f.subject IS NOT NULL GROUP BY f.subject
    ) AS counted WHERE runs > edits
"""
_MADE_WITHIN = """
    SELECT subject::text, created_at - earlier FROM (
        SELECT subject, created_at, lag(created_at) OVER line AS earlier, row_number() OVER line AS number
        FROM task_calls WHERE kind = %s AND subject IS NOT NULL
        WINDOW line AS (PARTITION BY subject ORDER BY created_at, id)
    ) AS calls WHERE number > 2 AND created_at - earlier < %s
"""
