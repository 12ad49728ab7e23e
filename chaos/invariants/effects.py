"""I1, I2, I4, I13: every committed event has its effects, each once, none from nowhere, none out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chaos.invariants.observed import Observed
from chaos.invariants.verdict import Verdict, verdict
from chaos.ledger import Entry
from chaos.tables import DERIVED, IS_OPEN

# Which event must have been followed by which kind: the hook table, said once more by the checker.
FOLLOWED_BY = {
    "resource.created": ("search_index", "embedding", "quality", "classification", "citations"),
    "resource.updated": ("search_index",),
    "resource.deleted": ("search_index", "authors"),
    "resource.content_changed": ("embedding", "quality", "classification", "citations"),
    "resource.metadata_changed": ("quality",),
}
# The same of hooks that derive nothing.
FOLLOWED_BY_CALL_OF = {
    "resource.deleted": ("invalidate_cache_task",),
    "ingestion.requested": ("ingest_resource_task",),
}


def every_event_has_its_effects(seen: Observed) -> Verdict:
    """I1: what the API accepted is there, nothing derived is older, and every event led to a call that was done."""
    return verdict(
        [
            *_lost_writes(seen),
            *_unread_documents(seen),
            *(
                f"stale: {kind} of {one}, {built}/{noted} < {wanted}"
                for kind, one, wanted, built, noted in seen.tables.stale()
            ),
            *(f"still indexed, though deleted: {one}" for (one,) in seen.tables.query(_INDEXED_THOUGH_DELETED)),
            *_events_without_effects(seen),
        ],
        accepted=seen.ledger.accepted,
        events=seen.tables.one("SELECT count(*) FROM events"),
    )


def each_effect_is_once(seen: Observed) -> Verdict:
    """I2: one call a task and event, one effect a call, never none of one that is done, no score without an effect."""
    return verdict(
        [
            *(f"call {call} has {count} effects" for call, count in seen.tables.query(_DOUBLED)),
            *(
                f"{name} {event} led to {count} calls of {task}"
                for name, event, task, count in seen.tables.query(_TWICE)
            ),
            *(f"{task} {call} is done and left no effect" for task, call in seen.tables.query(_WITHOUT_EFFECT)),
            *(
                f"{one} was scored {scores} times by {effects} effects"
                for one, scores, effects in seen.tables.query(_SCORED_MORE_OFTEN)
            ),
        ],
        effects=seen.tables.one("SELECT count(*) FROM effects"),
        done=seen.tables.one("SELECT count(*) FROM task_calls WHERE state = 'done'"),
    )


def nothing_from_nowhere(seen: Observed) -> Verdict:
    """I4: every effect has its call and is of what was committed, every call has its cause, every resource a client."""
    known = set(seen.ledger.entries) | set(seen.ledger.documents.values())
    strangers = [one for (one,) in seen.tables.query("SELECT id::text FROM resources") if one not in known]
    surplus = strangers if len(strangers) > seen.ledger.unanswered_creates else []
    return verdict(
        [
            *(f"effect of no call: {task} {call}" for task, call in seen.tables.query(_WITHOUT_CALL)),
            *(f"call of no cause: {task} {call}" for task, call in seen.tables.query(_WITHOUT_CAUSE)),
            *(
                f"{kind} of {one} was built from {built}, and {there} is the last that was committed"
                for kind, (version, table) in DERIVED.items()
                for one, built, there in seen.tables.query(_FROM_NOTHING.format(version=version, table=table), kind)
            ),
            *(f"nobody wrote the resource {one}" for one in surplus),
        ]
    )


def versions_never_go_back(seen: Observed) -> Verdict:
    """I13: by the records of effects, by the history of scores, and by what stands in the tables now."""
    return verdict(
        [
            *(f"{kind} of {one}: {new} after {old}" for one, kind, old, new in seen.tables.query(_GONE_BACK)),
            *(f"score of {one}: {new} after {old}" for one, old, new in seen.tables.query(_SCORED_BACK)),
            *(
                f"{kind} of {one} is of {now}, and was of {was}"
                for kind, (_, table) in DERIVED.items()
                for one, now, was in seen.tables.query(_OVERWRITTEN.format(table=table), kind)
            ),
        ]
    )


def _lost_writes(seen: Observed) -> Iterator[str]:
    rows = {
        one: (version, content, deleted)
        for one, version, content, deleted in seen.tables.query(
            "SELECT id::text, version, content, deleted_at IS NOT NULL FROM resources"
        )
    }
    for resource_id, entry in seen.ledger.entries.items():
        if resource_id not in rows:
            yield f"lost: {resource_id} was accepted and is not there"
        elif trouble := _differs(entry, *rows[resource_id]):
            yield f"lost: {resource_id} {trouble}"


def _differs(entry: Entry, version: int, content: str | None, deleted: bool) -> str:
    if entry.deleted:
        return "" if deleted else "was deleted and is there"
    if deleted:
        return "" if entry.maybe_deleted else "is gone, and nobody deleted it"
    if version < entry.version:
        return f"is of version {version}, and {entry.version} was accepted"
    if version > entry.most:
        return f"is of version {version}, and no more than {entry.most} were sent"
    return "" if content in {entry.content, *entry.unanswered} else "holds a text that was not the last accepted"


def _unread_documents(seen: Observed) -> Iterator[str]:
    states: dict[str, Any] = dict(seen.tables.query("SELECT id::text, ingestion_status FROM resources"))
    for url, resource_id in seen.ledger.documents.items():
        state = states.get(resource_id)
        wanted = "failed" if resource_id in seen.expected_dead else "completed"
        if state != wanted:
            yield f"document {url} is {state}, not {wanted}"


def _events_without_effects(seen: Observed) -> Iterator[str]:
    for event, kinds in FOLLOWED_BY.items():
        for kind in kinds:
            for resource_id, at in seen.tables.query(_NOT_FOLLOWED, event, kind):
                yield f"{event} of {resource_id} at {at} was not followed by {kind}"
    for event, tasks in FOLLOWED_BY_CALL_OF.items():
        for task in tasks:
            for subject, at in seen.tables.query(_NOT_CALLED, event, task):
                yield f"{event} of {subject} at {at} was not followed by {task}"
    for task, state, count in seen.tables.query(_LEFT_OPEN):
        yield f"{count} calls of {task} are still {state}"


_INDEXED_THOUGH_DELETED = (
    "SELECT r.id::text FROM resources r JOIN search_documents d ON d.resource_id = r.id WHERE r.deleted_at IS NOT NULL"
)
_DOUBLED = "SELECT call_id::text, count(*) FROM effects GROUP BY call_id HAVING count(*) > 1"
# Of canaries, call and effect are forgotten after ten minutes, in a transaction each.
_WITHOUT_EFFECT = """
    SELECT c.task, c.id::text FROM task_calls c
    WHERE c.state = 'done' AND c.task <> 'canary_task' AND NOT EXISTS (SELECT 1 FROM effects e WHERE e.call_id = c.id)
"""
_SCORED_MORE_OFTEN = """
    SELECT h.resource_id::text, count(*), coalesce(max(e.effects), 0) FROM quality_history h
    LEFT JOIN (SELECT subject, count(*) AS effects FROM effects WHERE kind = 'quality' GROUP BY subject) e
        ON e.subject = h.resource_id
    GROUP BY h.resource_id HAVING count(*) > coalesce(max(e.effects), 0)
"""
_WITHOUT_CALL = """
    SELECT e.task, e.call_id::text FROM effects e
    WHERE e.task <> 'canary_task' AND NOT EXISTS (SELECT 1 FROM task_calls c WHERE c.id = e.call_id)
"""
# Of several events that one call was joined to, it names the last.
_TWICE = """
    SELECT e.name, e.id::text, c.task, count(*) FROM task_calls c JOIN events e ON e.id::text = c.causation_id
    GROUP BY e.name, e.id, c.task HAVING count(*) > 1
"""
# Calls of a schedule are caused by its tick; those that a task made, by its call. Canaries forget both.
_WITHOUT_CAUSE = """
    SELECT c.task, c.id::text FROM task_calls c
    WHERE (c.task <> 'canary_task' OR c.causation_id IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM events e WHERE e.id::text = c.causation_id)
        AND NOT EXISTS (SELECT 1 FROM task_calls m WHERE m.id::text = c.causation_id)
        AND NOT EXISTS (SELECT 1 FROM schedule_ticks t WHERE t.call_id = c.id)
"""
_FROM_NOTHING = """
    SELECT r.id::text, built.version, r.{version} FROM resources r
    JOIN (
        SELECT resource_id, built_from AS version FROM {table}
        UNION SELECT subject, version FROM effects WHERE kind = %s
    ) built ON built.resource_id = r.id
    WHERE built.version > r.{version}
"""
# Between an event and the call that was joined to it lie the microseconds of one transaction.
_NOT_FOLLOWED = """
    SELECT e.subject::text, max(e.timestamp) FROM events e
    WHERE e.name = %s AND NOT EXISTS (
        SELECT 1 FROM task_calls c
        WHERE c.subject = e.subject AND c.kind = %s AND c.state = 'done' AND c.done_at >= e.timestamp
    )
    GROUP BY e.subject
"""
_NOT_CALLED = """
    SELECT e.subject::text, max(e.timestamp) FROM events e
    WHERE e.name = %s AND NOT EXISTS (
        SELECT 1 FROM task_calls c
        WHERE c.subject = e.subject AND c.task = %s
            AND (c.state = 'dead' OR c.state = 'done' AND c.done_at >= e.timestamp)
    )
    GROUP BY e.subject
"""
_LEFT_OPEN = f"SELECT task, state, count(*) FROM task_calls WHERE {IS_OPEN} GROUP BY task, state"
_GONE_BACK = """
    SELECT subject::text, kind, before, version FROM (
        SELECT subject, kind, version, lag(version) OVER (PARTITION BY subject, kind ORDER BY at, id) AS before
        FROM effects WHERE kind IS NOT NULL AND version IS NOT NULL
    ) ordered WHERE version < before
"""
_SCORED_BACK = """
    SELECT resource_id::text, before, built_from FROM (
        SELECT resource_id, built_from, lag(built_from) OVER (PARTITION BY resource_id ORDER BY at, id) AS before
        FROM quality_history
    ) ordered WHERE built_from < before
"""
_OVERWRITTEN = """
    SELECT t.resource_id::text, t.built_from, max(e.version) FROM effects e
    JOIN {table} t ON t.resource_id = e.subject
    WHERE e.kind = %s GROUP BY t.resource_id, t.built_from HAVING t.built_from < max(e.version)
"""
