"""Scenarios that kill a relay with claims in hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chaos import faults
from chaos.faults import Breakage, Fault
from chaos.invariants.observed import Bounds
from chaos.lines import Line
from chaos.polling import DeadlineMissed
from chaos.scenarios.broker_lines import SENT_SINCE
from chaos.scenarios.scenario import PROCESSES, Scenario
from chaos.stack import SECOND_RELAY
from chaos.stack_process import StackProcess
from chaos.tables import IS_OPEN
from chaos.trial import Trial

CLAIM_LASTS = timedelta(seconds=0.5)
"""At most, with a relay that lives and has a broker: it marks what it claimed some hundredths later."""
CLAIMS_WITHIN_SECONDS = 15.0
SLOW_TO_CONFIRM = faults.latency(milliseconds=1000, streams=("downstream",))
CONFIRMED_WITHIN_SECONDS = 4.0
"""A publish may take more than one answer, each a second late."""


def kill_relays(trial: Trial) -> None:
    """A relay dies between claim and publish, between publish and its confirmation, between that and its mark.

    The workers stand still meanwhile: what was sent and nobody starts is marked at once by a relay that lives, so that
    a claim that stays is of the one that is killed.
    """
    [broker] = trial.lines("broker", "relay")
    [database] = trial.lines("database", "relay")
    moments = (
        Moment(line=broker, way=faults.stall(streams=("upstream",)), is_published=False),
        Moment(line=broker, way=faults.stall(streams=("downstream",)), is_published=True),
        Moment(line=broker, way=SLOW_TO_CONFIRM, then=database, is_published=True, stands_for=CLAIM_LASTS),
    )
    kills: list[Kill] = []
    for _ in range(trial.rounds(3, fast=1)):
        for moment in moments:
            _wait_until_it_publishes(trial)
            with _standing_still(trial.stack.workers):
                kills.append(_kill_amid(trial, moment))
            trial.start(trial.stack.relay)
    _look_what_became_of(trial, kills)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Where the relay is when it is killed: `way` keeps it there on `line`, or `then` on a second line, silent.

    `stands_for`: a claim that is as old was not only slow to be marked.
    """

    line: Line
    way: Breakage
    is_published: bool
    then: Line | None = None
    stands_for: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """`held`: (call, generation) of the claims that died with the relay."""

    fault: Fault
    held: tuple[tuple[str, int], ...]
    is_published: bool


def _kill_amid(trial: Trial, moment: Moment) -> Kill:
    with ExitStack() as lines:
        fault = lines.enter_context(trial.broken([moment.line], moment.way))
        with suppress(DeadlineMissed):
            trial.poll(
                lambda: _held(trial, datetime.now(UTC) - moment.stands_for),
                within_seconds=CLAIMS_WITHIN_SECONDS,
                what="the relay holds a claim",
            )
        if moment.then is not None:
            fault = lines.enter_context(trial.broken([moment.then], faults.stall(streams=("upstream",))))
            trial.wait(CONFIRMED_WITHIN_SECONDS)
        trial.kill(trial.stack.relay)
        killed = datetime.now(UTC)
        trial.wait(2 * CLAIM_LASTS.total_seconds())
        held = _held(trial, killed)
    return Kill(fault=fault, held=held, is_published=moment.is_published)


def _wait_until_it_publishes(trial: Trial) -> None:
    """Its connection is open and known to the broker: what is sent meanwhile is not of the other relay."""
    with _standing_still([trial.stack.processes[SECOND_RELAY]]):
        since = datetime.now(UTC)
        trial.poll(lambda: trial.tables.one(SENT_SINCE, since), within_seconds=30, what="the relay publishes")


def _held(trial: Trial, moment: datetime) -> tuple[tuple[str, int], ...]:
    """What was claimed before then and is still: (call, generation)."""
    return tuple((str(call), int(generation)) for call, generation in trial.tables.query(_HELD, moment))


def _look_what_became_of(trial: Trial, kills: list[Kill]) -> None:
    """A kill has hit when the relay held claims, and they were on the broker then if that was the moment, else not."""
    ids = [call for kill in kills for call, _ in kill.held]
    trial.poll(
        lambda: not trial.tables.query(_OPEN_AMONG, ids), within_seconds=60, what="what a dead relay held has ended"
    )
    generations = dict(trial.tables.query(_GENERATIONS, ids))
    for kill in kills:
        # A call that was published is started in the generation of its claim; the other waits 15 s for a new one.
        published = sum(generations.get(call) == generation for call, generation in kill.held)
        hit = published > 0 if kill.is_published else len(kill.held) > published
        said = f"{len(kill.held)} claims were held, {published} of them published"
        kill.fault.name += f"; {said}"
        kill.fault.missed = kill.fault.missed or ("" if hit else said)
    hits = sum(not kill.fault.missed for kill in kills)
    least = trial.rounds(9, fast=3)
    trial.expect(hits >= least, f"only {hits} kills hit a relay with claims, of {least}")


@contextmanager
def _standing_still(processes: Sequence[StackProcess]) -> Iterator[None]:
    """For a few seconds, of the fifteen after which they are taken for dead."""
    for process in processes:
        process.pause()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


_HELD = "SELECT id::text, generation FROM task_calls WHERE state = 'claimed' AND claimed_at < %s"
_OPEN_AMONG = f"SELECT 1 FROM task_calls WHERE id::text = ANY(%s) AND {IS_OPEN} LIMIT 1"
_GENERATIONS = "SELECT id::text, generation FROM task_calls WHERE id::text = ANY(%s)"

SCENARIOS = (
    Scenario(
        number=21,
        title="relay killed",
        fault="SIGKILL of a relay between claim, publish, confirmation and mark, thrice each, beside a second relay",
        bound="each of the nine kills (fast: three) takes claims along, and no execution is repeated;"
        " drained ≤ 20 s: claims of a dead relay are given back after 15 s",
        act=kill_relays,
        also=("I3", "I6"),
        processes=("relay-2", *PROCESSES),
        bounds=Bounds(redone=0, drained_seconds=20),
        is_fast=True,
    ),
)
