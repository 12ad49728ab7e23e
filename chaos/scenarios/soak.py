"""Everything at random, for a quarter of an hour."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from chaos import faults
from chaos.invariants.observed import Bounds
from chaos.scenarios.broker_lines import CONSUMERS, USERS
from chaos.scenarios.scenario import Scenario
from chaos.trial import Trial
from chaos.workload import Load

SOAK_SECONDS = 900.0


def soak(trial: Trial) -> None:
    """One fault after the other, drawn by the seed, with a pause in which things recover a little."""
    until = time.monotonic() + SOAK_SECONDS
    while time.monotonic() < until:
        trial.random.choice(FAULTS)(trial)
        trial.wait(trial.random.uniform(0, 6))


def _broker_down(trial: Trial) -> None:
    with trial.broken(trial.lines("broker", *USERS), faults.down()):
        trial.wait(trial.random.uniform(1, 10))


def _one_line_silent(trial: Trial) -> None:
    [line] = trial.lines("broker", trial.random.choice(CONSUMERS))
    trial.wait_until_used(line)
    with trial.broken([line], faults.stall()):
        trial.wait(trial.random.uniform(1, 25))


def _slow(trial: Trial) -> None:
    line = trial.lines("broker", "worker")[0]
    trial.wait_until_used(line)
    with trial.broken(trial.lines("broker", *USERS), faults.latency(milliseconds=200, jitter=150)):
        trial.wait(trial.random.uniform(3, 15))


def _database_away(trial: Trial) -> None:
    line = trial.lines("database", "worker")[0]
    trial.wait_until_used(line)
    with trial.broken(trial.lines("database", *CONSUMERS), faults.down()):
        trial.wait(trial.random.uniform(1, 8))


def _worker_killed(trial: Trial) -> None:
    worker = trial.random.choice(trial.stack.workers)
    with trial.fault(f"SIGKILL of {worker.name}"):
        trial.kill(worker)
        trial.wait(trial.random.uniform(0, 3))
        trial.start(worker)


def _child_killed(trial: Trial) -> None:
    worker = trial.random.choice(trial.stack.workers)
    with trial.fault(f"SIGKILL of a pool process of {worker.name}"):
        trial.random.choice(psutil.Process(worker.pid).children()).kill()


def _worker_frozen(trial: Trial) -> None:
    worker = trial.random.choice(trial.stack.workers)
    with trial.fault(f"SIGSTOP of {worker.name}"):
        worker.pause()
        trial.wait(trial.random.uniform(1, 30))
        worker.resume()


def _relay_killed(trial: Trial) -> None:
    with trial.fault("SIGKILL of the relay"):
        trial.kill(trial.stack.relay)
        trial.start(trial.stack.relay)


FAULTS: tuple[Callable[[Trial], None], ...] = (
    _broker_down,
    _one_line_silent,
    _slow,
    _database_away,
    _worker_killed,
    _child_killed,
    _worker_frozen,
    _relay_killed,
)

SCENARIOS = (
    Scenario(
        number=34,
        title="soak",
        fault="faults of eight kinds drawn by the seed, for 15 minutes",
        bound="each effect once, nothing left; every worker consumes ≤ 30 s after the last fault, drained ≤ 60 s;"
        " at most 100 executions repeated",
        act=soak,
        also=("I3", "I6", "I10"),
        load=Load(writes=3000, per_second=5, resources=100),
        bounds=Bounds(redone=100, drained_seconds=60, consuming_seconds=30),
        is_apart=True,
    ),
)
