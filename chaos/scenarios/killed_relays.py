"""Scenarios that kill a relay with calls in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from chaos import faults
from chaos.faults import Fault
from chaos.invariants.observed import Bounds
from chaos.polling import DeadlineMissed
from chaos.scenarios.relay_lines import SENT_SINCE
from chaos.scenarios.scenario import PROCESSES, Scenario
from chaos.stack import SECOND_RELAY
from chaos.trial import Trial

LATE_MS = 500
"""By which what the relay says to the database is late, and so the mark of what was confirmed."""
JUST_NOW = "400 milliseconds"
STARTS_WITHIN_SECONDS = 10.0
TRIES = 15
"""Of each kill, at most. One in four takes nothing along: the relay was between two claims when its line broke, or had
claimed just before it."""
UNCONFIRMED_FOR_SECONDS = 3.0
"""As long a relay waits on, at the least, once the fault has shown: its deadline is 5 s."""
PUBLISHES_WITHIN_SECONDS = 30.0


def kill_relays(trial: Trial) -> None:
    """A relay dies between claim and publish, between publish and its confirmation, between that and its mark.

    The other one stands still meanwhile, so that whatever is claimed is of the one that is killed. A kill that took
    no such call along does not count, and another follows.
    """
    wanted = trial.rounds(3, fast=1)
    for kill in (_kill_before_the_publish, _kill_before_the_confirmation, _kill_before_the_mark):
        hits = tries = 0
        while hits < wanted and tries < TRIES:
            with _alone(trial):
                hits += kill(trial)
            trial.start(trial.stack.relay)
            tries += 1
        trial.expect(hits == wanted, f"{kill.__name__.strip('_')} took calls along {hits} times, not {wanted}")


def _kill_before_the_publish(trial: Trial) -> bool:
    """Claimed, and still so long afterwards, while idle workers would have started what had arrived."""
    [line] = trial.lines("broker", "relay")
    with trial.broken([line], faults.stall(streams=("upstream",))) as fault:
        return _kill(trial, fault, "claimed and not published", _UNPUBLISHED)


def _kill_before_the_confirmation(trial: Trial) -> bool:
    """Claimed and started since the answers vanish; a worker that is busy starts it late."""
    [line] = trial.lines("broker", "relay")
    with trial.broken([line], faults.stall(streams=("downstream",))) as fault:
        with suppress(DeadlineMissed):
            trial.poll(
                lambda: trial.tables.one(_PUBLISHED, fault.began),
                within_seconds=UNCONFIRMED_FOR_SECONDS,
                what="what was published is started",
            )
        return _kill(trial, fault, "published and not confirmed", _PUBLISHED)


def _kill_before_the_mark(trial: Trial) -> bool:
    """Started just now: the confirmation takes no longer than the start, and the mark is on its way to the database."""
    [line] = trial.lines("database", "relay")
    late = faults.latency(milliseconds=LATE_MS, streams=("upstream",))
    with trial.broken([line], late) as fault, suppress(DeadlineMissed):
        trial.poll(
            lambda: trial.tables.one(_JUST_STARTED, fault.began),
            within_seconds=STARTS_WITHIN_SECONDS,
            what="a call was started",
            every_seconds=0.02,
        )
        return _kill(trial, fault, "published and not marked", _JUST_STARTED)
    return False


def _kill(trial: Trial, fault: Fault, what: str, calls: str) -> bool:
    """Whether it took any of these calls along."""
    trial.kill(trial.stack.relay)
    count = int(trial.tables.one(calls, fault.began))
    fault.name += f"; the relay is killed with {count} calls {what}"
    return count > 0


@contextmanager
def _alone(trial: Trial) -> Iterator[None]:
    """The second relay stands still, most often for some seconds; the first one publishes."""
    other = trial.stack.processes[SECOND_RELAY]
    other.pause()
    try:
        since = datetime.now(UTC)
        trial.poll(
            lambda: trial.tables.one(SENT_SINCE, since),
            within_seconds=PUBLISHES_WITHIN_SECONDS,
            what="the relay publishes",
        )
        yield
    finally:
        other.resume()


_UNPUBLISHED = "SELECT count(*) FROM task_calls WHERE claimed_at > %s AND state = 'claimed'"
_PUBLISHED = "SELECT count(*) FROM task_calls WHERE claimed_at > %s AND started_at > claimed_at"
_JUST_STARTED = f"""
    SELECT count(*) FROM task_calls WHERE claimed_at > %s AND started_at > now() - interval '{JUST_NOW}'
"""

SCENARIOS = (
    Scenario(
        number=21,
        title="relay killed",
        fault="SIGKILL of a relay between claim, publish, confirmation and mark, thrice each, beside a second relay",
        bound="each of nine kills (fast: three) takes calls along; no execution is repeated;"
        " drained ≤ 20 s: claims of a dead relay are given back after 15 s",
        act=kill_relays,
        also=("I3", "I6"),
        processes=(SECOND_RELAY, *PROCESSES),
        bounds=Bounds(redone=0, drained_seconds=20),
        is_fast=True,
    ),
)
