"""Everything at random, for a quarter of an hour."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from chaos import faults
from chaos.invariants.observed import Bounds
from chaos.ledger import p95_seconds
from chaos.polling import DeadlineMissed
from chaos.scenarios.broker_lines import CONSUMERS, USERS
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.unbroken import LINE_SECONDS, WRITTEN_WITHIN_SECONDS
from chaos.trial import Trial
from chaos.workload import Load

SOAK_SECONDS = 900.0
CAUGHT_WITHIN_SECONDS = 5.0
ENDS_WITHIN_SECONDS = 5.0
# An owner is `host:pid:id`.
_AT_WORK = "SELECT split_part(owner, ':', 2)::int FROM task_calls WHERE state = 'running' AND owner IS NOT NULL"


def soak(trial: Trial) -> None:
    """One fault after the other, drawn by the seed, with a pause in which things recover a little.

    The last is no draw: whatever is due meanwhile stands in one line, in which the urgent must wait less. Of those
    before it nobody can tell who waited for whom.
    """
    until = time.monotonic() + SOAK_SECONDS
    while time.monotonic() < until:
        trial.random.choice(FAULTS)(trial)
        trial.wait(trial.random.uniform(0, 6))
    trial.note_line()
    with trial.broken(trial.lines("broker", *USERS), faults.down()):
        trial.wait(LINE_SECONDS)


def writes_were_quick(trial: Trial) -> None:
    """I7 cannot be asked: 1.2 times leaves no room for what is started again meanwhile on the cores that answer."""
    began, ended = trial.observed.warm_at, trial.observed.drained_at
    writes = [] if began is None or ended is None else trial.ledger.between(began, ended)
    trial.measure("95 of 100 writes", p95_seconds(writes), at_most=WRITTEN_WITHIN_SECONDS[95])


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
    """One with a call in hand, if any is caught with one: most calls take milliseconds."""
    with trial.fault("SIGKILL of a pool process") as fault:
        pools = {child.pid: child for one in trial.stack.workers for child in psutil.Process(one.pid).children()}
        try:
            victim, state = _caught_with_a_call(trial, pools), "with a call in hand"
        except DeadlineMissed:
            victim, state = trial.random.choice(list(pools.values())), "idle"
        worker = trial.worker_of(victim.pid)
        victim.kill()
        fault.name += f" of {worker.name if worker else 'nobody'}, {state}"
        try:
            victim.wait(ENDS_WITHIN_SECONDS)
        except psutil.TimeoutExpired:
            fault.missed = "it lives"


def _caught_with_a_call(trial: Trial, pools: dict[int, psutil.Process]) -> psutil.Process:
    """Stopped, so that it cannot end its call before it is killed."""

    def caught() -> psutil.Process | None:
        for pid in pools.keys() & _at_work(trial):
            pools[pid].suspend()
            if pid in _at_work(trial):
                return pools[pid]
            pools[pid].resume()
        return None

    found = trial.poll(caught, within_seconds=CAUGHT_WITHIN_SECONDS, what="a call is in hand", every_seconds=0.01)
    assert found is not None
    return found


def _at_work(trial: Trial) -> set[int]:
    return {pid for (pid,) in trial.tables.query(_AT_WORK)}


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
        fault="faults of eight kinds drawn by the seed, for 15 minutes; then all lines to the broker down for 10 s",
        bound="each effect once, nothing left; every worker consumes ≤ 10 s after the last fault, drained"
        " ≤ backlog / rate + 10 s; at most 100 executions repeated; 95 of 100 writes ≤ 0.5 s, which stands for I7:"
        " who is killed is started again on the cores that answer",
        act=soak,
        afterwards=writes_were_quick,
        also=("I3", "I6", "I8", "I10", "I12"),
        load=Load(writes=3000, per_second=5, resources=100),
        bounds=Bounds(redone=100, runs_per_key=None),
        is_apart=True,
        needs_processors=True,
    ),
)
