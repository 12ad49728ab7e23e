"""Scenarios that break the line from the relay to the broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import psutil

from chaos import faults
from chaos.invariants.observed import Bounds
from chaos.scenarios.scenario import Scenario
from chaos.trial import Trial
from chaos.workload import COMPARED

SENT_SINCE = "SELECT count(*) FROM task_calls WHERE sent_at > %s"
MORE_THREADS = 2
# Claimed and started inside of the window: the message went through, and its confirmation did not come back.
ARRIVED_MEANWHILE = "SELECT count(*) FROM task_calls WHERE claimed_at > %s AND started_at < %s"
SENT_AGAIN = """
    SELECT count(*) FROM task_calls
    WHERE claimed_at BETWEEN %s AND %s + interval '3 seconds' AND generation > attempts + 1
"""


def replies_lost(trial: Trial) -> None:
    """What the relay publishes arrives, and it never hears so.

    A window in which nothing was claimed that arrived does not count, and another follows: the one publish that a
    relay makes before its deadline was then about to be sent when the window opened. Seven windows of ten count.
    """
    wanted = trial.rounds(5, fast=2)
    hits = 0
    for _ in range(4 * wanted):
        [line] = trial.lines("broker", "relay")
        _wait_until_publishing(trial)
        with trial.broken([line], faults.stall(streams=("downstream",))) as fault:
            trial.wait(7)
        hits += bool(trial.tables.one(ARRIVED_MEANWHILE, fault.began, fault.ended))
        if hits == wanted:
            return
        trial.wait(2)
    trial.expect(False, f"what was published arrived in {hits} windows, not in {wanted}")


def confirms_lost(trial: Trial) -> None:
    """The confirmation of a publish is cut, at another byte each time."""
    for _ in range(trial.rounds(20, fast=5)):
        [line] = trial.lines("broker", "relay")
        _wait_until_publishing(trial)
        way = faults.limit_data(after_bytes=trial.random.randrange(200), streams=("downstream",))
        with trial.broken([line], way) as fault:
            trial.poll(fault.has_cut, within_seconds=20, what="a connection is cut")


def confirmations_were_missed(trial: Trial) -> None:
    """Some cuts come between two confirmations, or when all that was published is confirmed; most must cost one."""
    hits = sum(bool(trial.tables.one(SENT_AGAIN, one.began, one.ended)) for one in trial.observed.faults)
    wanted = len(trial.observed.faults) / 2
    trial.expect(hits >= wanted, f"only {hits} of {len(trial.observed.faults)} cuts cost a confirmation")


def slower_than_the_deadline(trial: Trial) -> None:
    """The relay's requests take longer than it may wait for them; none may leave a thread behind that waits on."""
    relay = psutil.Process(trial.stack.relay.pid)
    before = most = relay.num_threads()
    with trial.broken(trial.lines("broker", "relay"), faults.latency(milliseconds=3500)):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            trial.wait(0.5)
            most = max(most, relay.num_threads())
    trial.expect(most <= before + MORE_THREADS, f"the relay went from {before} to {most} threads")


def _wait_until_publishing(trial: Trial) -> None:
    """The connection that is to be cut stands: something was published over it just now."""
    since = datetime.now(UTC)
    trial.poll(lambda: trial.tables.one(SENT_SINCE, since), within_seconds=60, what="the relay publishes")


SCENARIOS = (
    Scenario(
        number=5,
        title="answers to the relay lost",
        fault="the broker's answers to the relay vanish for 7 s while it publishes, until five such publishes arrived",
        bound="effects once; what is sent again is of a new generation: no execution repeated",
        act=replies_lost,
        also=("I3", "I6"),
        bounds=Bounds(redone=0),
    ),
    Scenario(
        number=8,
        title="confirmations cut",
        fault="the confirmation of a publish is cut after 0 to 200 bytes, 20 times",
        bound="at least half of the cuts cost a confirmation: what was published is sent again, effects once;"
        " drained ≤ backlog / rate + 10 s",
        act=confirms_lost,
        afterwards=confirmations_were_missed,
        brokers=("rabbitmq",),
        also=("I6",),
    ),
    Scenario(
        number=10,
        title="line slower than the deadline",
        fault="3.5 s each way from the relay to the broker for 20 s; it may wait 5 s",
        bound=f"no write slower, no pile-up of threads: at most {MORE_THREADS} more",
        act=slower_than_the_deadline,
        also=("I6", "I7"),
        is_idle_meanwhile=True,
        load=COMPARED,
    ),
)
