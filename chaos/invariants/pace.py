"""I5, I6, I7, I8, I10: nothing before its time, everything soon after healing, and clients who notice nothing."""

from __future__ import annotations

import statistics
from dataclasses import replace
from datetime import UTC, datetime

from chaos.invariants import quantiles
from chaos.invariants.observed import Observed
from chaos.invariants.verdict import Verdict, verdict
from chaos.ledger import p95_seconds

ENOUGH = 20
RANKS = ("urgent", "low")


def nothing_before_its_time(seen: Observed) -> Verdict:
    """I5: no call was claimed or started before it was due."""
    return verdict(f"{task} {call} began {early} early" for task, call, early in seen.tables.query(_EARLY))


def the_backlog_is_gone(seen: Observed) -> Verdict:
    """I6: after healing, open calls and stale data are back to 0 within T."""
    at_most = seen.drains_within_seconds
    breaches = []
    if seen.drained_seconds is None or seen.drained_seconds > at_most:
        breaches.append(f"drained after {_words(seen.drained_seconds)}, at most {at_most:.1f} s are allowed")
    return verdict(
        breaches,
        backlog_seconds=seen.backlog_seconds,
        drained_seconds=seen.drained_seconds,
        at_most=at_most,
        backlog=seen.backlog,
        rate=seen.rate,
    )


def its_own_bound_is_kept(seen: Observed) -> Verdict:
    """What this scenario promises beside the invariants: its times, whatever else it looked for, and, as everywhere,
    that the API takes every write.
    """
    refused = [f"{one.what} at {one.at:%H:%M:%S}: {one.status} {one.detail[:120]}" for one in seen.ledger.failed()]
    late = [
        f"{one.what} took {_words(one.seconds)}, at most {one.at_most:g} s are allowed"
        for one in seen.measured
        if one.seconds is None or one.seconds > one.at_most
    ]
    times = [one.seconds for one in seen.measured if one.seconds is not None]
    median = statistics.median(times) if times else None
    return verdict(
        [*refused, *late, *seen.disappointments], median_seconds=median, max_seconds=max(times, default=None)
    )


def writes_never_suffer(seen: Observed) -> Verdict:
    """I7: during the faults no write fails, and 95 of 100 are answered in 1.2 times their healthy time: of all of
    them, and of each fault of which there are enough.

    Where nothing is broken, the load as it was worked off stands for the faults: what is compared with itself is the
    same. A breach is a p95 that is larger for certain: see `quantiles`. That knows of chance, but of no other guest of
    the machine: a verdict on nothing but times is `only_measured`.
    """
    of_each = {
        f"p95 in {number}. fault: {fault.name}": seen.ledger.between(fault.began, fault.ended or datetime.now(UTC))
        for number, fault in enumerate(seen.faults, start=1)
    }
    if seen.steady_from is not None:
        of_each["p95 of the load"] = seen.ledger.between(seen.steady_from, seen.drained_at or datetime.now(UTC))
    during = [write for writes in of_each.values() for write in writes]
    breaches = [
        f"{one.what} at {one.at:%H:%M:%S}: {one.status} {one.detail[:120]}" for one in during if not one.accepted
    ]
    healthy, broken = p95_seconds(seen.healthy), p95_seconds(during)
    slower: list[str] = []
    limit = seen.bounds.slower * quantiles.at_most([write.seconds for write in seen.healthy] or [0.0])
    if healthy is None or broken is None:
        breaches.append(f"too few writes to tell: {len(seen.healthy)} healthy, {len(during)} during the faults")
    else:
        asked = {"p95": during} if len(of_each) == 1 else {"p95": during, **of_each}
        slower = [
            f"{what} was {found * 1000:.0f} ms, and {healthy * 1000:.0f} ms while nothing was broken;"
            f" for certain it was over {limit * 1000:.0f} ms"
            for what, writes in asked.items()
            if (found := p95_seconds(writes)) is not None
            and quantiles.is_larger([write.seconds for write in writes], limit, among=len(asked))
        ]
    each = {what: p95_seconds(writes) for what, writes in of_each.items()}
    judged = verdict(
        [*breaches, *slower], healthy_p95=healthy, broken_p95=broken, limit=limit, writes=len(during), **each
    )
    return replace(judged, only_measured=bool(slower) and not breaches)


def urgent_waits_less(seen: Observed) -> Verdict:
    """I8: within a queue, urgent calls wait less than those of lower priority, where enough of both had to wait.

    Where no queue had enough of both, nothing was shown. Counted from healing where a call was due before: until then
    nobody is served, and whoever came first waits longest. What was written before and after the scenario's load does
    not count: it may have waited for a relay that was ended on purpose. Nor does what was written before its line: one
    that a frozen worker has fetched waits for that worker, whatever its rank.
    """
    medians: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for queue, rank, count, median in seen.tables.query(
        _WAITS, seen.healed_at, seen.line_from or seen.warm_at, seen.drained_at
    ):
        counts[f"{rank} calls in {queue}"] = int(count)
        if count >= ENOUGH:
            medians.setdefault(queue, {})[rank] = float(median)
    compared = {queue: both for queue, both in medians.items() if len(both) == len(RANKS)}
    breaches = [
        f"{queue}: urgent waited {both['urgent']:.2f} s, low {both['low']:.2f} s"
        for queue, both in compared.items()
        if both["urgent"] > both["low"]
    ]
    if not compared:
        found = ", ".join(f"{count} {which}" for which, count in counts.items()) or "none"
        breaches.append(f"too few calls had to wait to tell, {ENOUGH} of each rank in one queue are needed: {found}")
    waited = {f"{rank} in {queue}": both[rank] for queue, both in compared.items() for rank in RANKS}
    return verdict(breaches, **waited, **counts)


def every_worker_consumes(seen: Observed) -> Verdict:
    """I10: after healing every worker starts a call within its time."""
    at_most = seen.bounds.consuming_seconds
    breaches = [
        f"{worker} consumed again after {_words(seconds)}, at most {at_most:g} s are allowed"
        for worker, seconds in seen.consuming_seconds.items()
        if seconds is None or seconds > at_most
    ]
    if not seen.consuming_seconds:
        breaches = ["no worker was looked at"]
    times = [seconds for seconds in seen.consuming_seconds.values() if seconds is not None]
    slowest = max(times, default=None)
    median = statistics.median(times) if times else None
    return verdict(breaches, slowest=slowest, median_seconds=median, max_seconds=slowest)


def _words(seconds: float | None) -> str:
    return "no time that was waited for" if seconds is None else f"{seconds:.1f} s"


_EARLY = """
    SELECT task, id::text, due_at - coalesce(started_at, claimed_at) FROM task_calls
    WHERE state = 'done' AND (started_at < due_at OR claimed_at < due_at)
"""
# Only among calls that stood in line together: while nobody waits, the order of arrival decides, and rightly.
_WAITS = """
    SELECT queue, CASE WHEN priority >= 9 THEN 'urgent' ELSE 'low' END, count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - stood_from))
    FROM task_calls, LATERAL (
        SELECT CASE WHEN started_at > healed_at THEN greatest(due_at, healed_at) ELSE due_at END AS stood_from
        FROM (SELECT %s::timestamptz AS healed_at) AS healing
    ) AS line
    WHERE state = 'done' AND created_at >= coalesce(%s, '-infinity'::timestamptz)
        AND created_at <= coalesce(%s, 'infinity'::timestamptz) AND started_at > due_at + interval '1 second'
        AND (priority >= 9 OR priority <= 5)
        AND task NOT IN ('canary_task', 'reconcile_derived_data', 'cleanup_expired_cache',
            'monitor_quality_degradation', 'detect_quality_outliers')
    GROUP BY 1, 2
"""
