"""I3, I9, I11, I14: nothing done again without a reason, nothing left behind, nobody dead who was not killed."""

from __future__ import annotations

import signal
from datetime import timedelta

from chaos.invariants.observed import Exit, Observed
from chaos.invariants.verdict import Verdict, verdict

# Until a lease has run out, a heartbeat was missed three times, or a relay's claim is taken for abandoned.
AFTERMATH = timedelta(seconds=35)
# Only the API ends by the signal itself: uvicorn raises it again when it has shut down. Of any other process that is a
# SIGTERM that nobody handled.
ENDS_BY_ITS_SIGNAL = "api"


def repeats_have_a_reason(seen: Observed) -> Verdict:
    """I3: whatever was sent or started more than once was so in or after a fault, and no more often than allowed.

    Of a call that was tried again, or replayed, each attempt counts; and of one that a later call made superfluous
    what it was started before.
    """
    rows = seen.tables.query(_REPEATED)
    # The row tells of the last start only, and who was given back stands in line again, behind all that is more urgent.
    aftermath = AFTERMATH + timedelta(seconds=seen.drained_seconds or 0)
    redone = sum(max(0, starts - 1) for *_, starts, _resent, _at in rows)
    breaches = [
        f"{task} {call}: {starts} starts, sent again {resent} times, at {at}"
        for task, call, starts, resent, at in rows
        if not seen.in_a_fault(at, after=aftermath)
    ]
    if redone > seen.may_be_redone:
        breaches.append(f"{redone} executions were repeated, at most {seen.may_be_redone} are allowed")
    return verdict(breaches, redone=redone, resent=sum(resent for *_, resent, _at in rows))


def nothing_is_left(seen: Observed) -> Verdict:
    """I9: the broker is empty, and the dead letters are those of the work that was meant to die."""
    found = seen.contents
    breaches = [f"{count} messages are left in {queue}" for queue, count in found.ready.items() if count]
    breaches += [f"{count} messages of {queue} are held by somebody" for queue, count in found.unacked.items()]
    breaches += [f"{count} dead letters are left in {queue}.dead" for queue, count in found.dead.items() if count]
    breaches += [f"orphan key {key}" for key in found.orphan_keys]
    breaches += [f"orphan queue {queue}" for queue in found.orphan_queues]
    breaches += [f"the queue {queue} is gone" for queue in found.missing_queues]
    letters = dict(seen.tables.query(_OPEN_LETTERS))
    breaches += [
        f"dead, though it was no poison: {one} ({letters[one]})" for one in letters if one not in seen.expected_dead
    ]
    breaches += [f"poison that is no dead letter: {one}" for one in sorted(seen.expected_dead - set(letters))]
    return verdict(breaches, dead_letters=len(letters))


def only_the_killed_died(seen: Observed) -> Verdict:
    """I11: no process ended but those the harness ended."""
    return verdict(f"{one.name} ended with {one.code}" for one in seen.exits if not one.intended)


def the_harness_is_sound(seen: Observed) -> Verdict:
    """I14: there were faults and each landed; who was killed died of it, and who was asked to end did so cleanly."""
    absent = [] if seen.faults or seen.bounds.is_faultless else ["there was no fault"]
    missed = [f"the fault did not land: {fault.name}: {fault.missed}" for fault in seen.faults if fault.missed]
    unclean = [
        f"{one.name} was {'killed' if one.killed else 'asked to end'} and ended with {one.code}"
        for one in seen.exits
        if one.intended and one.code not in _codes_of(one)
    ]
    return verdict([*absent, *missed, *unclean], faults=len(seen.faults))


def _codes_of(end: Exit) -> tuple[int, ...]:
    """The exit codes that its end may have, as it was meant."""
    if end.killed:
        return (-signal.SIGKILL,)
    return (0, -signal.SIGTERM) if end.name == ENDS_BY_ITS_SIGNAL else (0,)


# `attempts` counts the tries that failed in the ordinary way; each had a sending of its own. A failure sets `starts` to
# 0 for the next attempt, or leaves them in a dead row: those of the attempt that failed are in the history.
_REPEATED = """
    SELECT * FROM (
        SELECT task, id::text, CASE WHEN state = 'dead' AND history->-1->>'starts' IS NOT NULL THEN 1 ELSE starts END
            AS started, greatest(generation - attempts - 1, 0) AS resent, coalesce(started_at, claimed_at)
        FROM task_calls WHERE state IN ('done', 'dead', 'superseded')
        UNION ALL
        SELECT task, id::text, (failed->>'starts')::int, 0, (failed->>'at')::timestamptz
        FROM task_calls, json_array_elements(history::json) AS failed WHERE failed->>'starts' IS NOT NULL
    ) AS attempts WHERE (started > 1 OR resent > 0) AND task <> 'canary_task'
"""
_OPEN_LETTERS = "SELECT coalesce(subject::text, call_id::text), reason FROM dead_letters WHERE closed_at IS NULL"
