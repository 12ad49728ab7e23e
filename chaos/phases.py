"""The phases of a run around its fault: what is measured before, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from chaos.broker_contents import contents
from chaos.polling import DeadlineMissed
from chaos.results import Result
from chaos.scenarios.scenario import Scenario
from chaos.tables import IS_OPEN, IS_WORK, Tables
from chaos.trial import Trial
from chaos.workload import Load, Workload

WARM_UP_RESOURCES = 15
"""Where times are compared, as many as the load is over: a create is faster than an edit, and later there are few."""
HEALTHY_WRITES, FAST_HEALTHY_WRITES = 100, 60
"""Before the fault, and as many after it."""
WARM_WITHIN_SECONDS = 60.0
LATE_SECONDS = 60.0
"""How long a bound that is missed is still waited for, so that the miss is a number."""


def warm_up(trial: Trial, scenario: Scenario, seed: int) -> None:
    """The first resources, and how many calls a second this machine does of a backlog while nothing is broken.

    Nothing is processed until the relays are back, so that there is one.
    """
    compared = scenario.load if "I7" in scenario.also else None
    resources = compared.resources if compared else WARM_UP_RESOURCES
    with _nothing_processed(trial):
        _write_at_once(trial, resources=resources, seed=seed + 1)
        if scenario.is_idle_meanwhile:
            _write_healthily(trial, scenario, seed=seed + 2)
    trial.poll(trial.tables.has_converged, within_seconds=WARM_WITHIN_SECONDS, what="the first resources are built")
    trial.observed.rate = float(trial.tables.one(_RATE))
    if not scenario.is_idle_meanwhile:
        _write_healthily(trial, scenario, seed=seed + 2)


def _write_at_once(trial: Trial, *, resources: int, seed: int) -> None:
    burst = Load(writes=resources, per_second=1, resources=resources)
    with Workload(trial.stack.url, trial.ledger, burst, seed=seed) as workload:
        for _ in range(resources):
            workload.write()


def compare(trial: Trial, scenario: Scenario, seed: int) -> None:
    """As before the fault: what else the machine does meanwhile changes both sides alike."""
    if "I7" not in scenario.also:
        return
    if scenario.is_idle_meanwhile:
        with _nothing_processed(trial):
            _write_healthily(trial, scenario, seed=seed)
    else:
        _write_healthily(trial, scenario, seed=seed)
    trial.poll(trial.tables.has_converged, within_seconds=LATE_SECONDS, what="the healthy writes are built")


@contextmanager
def _nothing_processed(trial: Trial) -> Iterator[None]:
    """Without relays no call reaches a worker."""
    relays = [process for name, process in trial.stack.processes.items() if name.startswith("relay")]
    for relay in relays:
        trial.end(relay)
    yield
    for relay in relays:
        trial.start(relay)


def _write_healthily(trial: Trial, scenario: Scenario, *, seed: int) -> None:
    """What I7 compares with: the same load while nothing is broken."""
    if "I7" not in scenario.also or scenario.load is None:
        return
    known = len(trial.ledger.writes)
    with Workload(trial.stack.url, trial.ledger, scenario.load, seed=seed):
        enough = known + trial.rounds(HEALTHY_WRITES, fast=FAST_HEALTHY_WRITES)
        trial.poll(lambda: len(trial.ledger.writes) >= enough, within_seconds=60, what="healthy writes")
    trial.observed.healthy += trial.ledger.writes[known:]


def heal(trial: Trial, scenario: Scenario) -> None:
    """The backlog when the last fault was over, and how long every worker takes to consume from then on."""
    seen = trial.observed
    seen.healed_at = trial.healed_at or datetime.now(UTC)
    seen.backlog = trial.tables.open_calls(at=seen.healed_at)
    if "I10" in scenario.also:
        patience = seen.bounds.consuming_seconds + LATE_SECONDS / 2
        seen.consuming_seconds = trial.wait_until_consuming(within_seconds=patience, since=seen.healed_at)


def write_enough(trial: Trial, load: Load) -> None:
    """As many writes since it was warm as the scenario asks for, the slow ones among them waited for."""
    least = load.fast_writes if trial.is_fast else load.writes
    patience = 30 + 3 * least / load.per_second
    trial.poll(
        lambda: trial.ledger.accepted_since(trial.observed.warm_at) >= least,
        within_seconds=patience,
        what="the least number of writes",
    )


def drain(trial: Trial) -> None:
    """Whatever was open at healing is done, and, after the last write, nothing is open or stale: the longer of both."""
    seen = trial.observed
    last = max((write.at for write in seen.ledger.writes), default=datetime.now(UTC))
    healed = seen.healed_at or last
    with suppress(DeadlineMissed):
        trial.poll(
            trial.tables.has_converged,
            within_seconds=seen.drains_within_seconds + LATE_SECONDS,
            what="drained",
            every_seconds=0.2,
        )
        settled = (datetime.now(UTC) - max(last, healed)).total_seconds()
        seen.drained_at = datetime.now(UTC)
        seen.backlog_seconds = backlog_seconds(trial.tables, healed)
        seen.drained_seconds = max(settled, seen.backlog_seconds)


def backlog_seconds(tables: Tables, healed: datetime) -> float:
    """From healing until the last call of before had ended, by the rows; 0 when none was open.

    A call that was not yet due counts from when it was: who writes on prolongs its debounce, which is no backlog.
    """
    return float(tables.one(_BACKLOG, healed, healed, healed, healed))


def end(trial: Trial, result: Result) -> None:
    """Beat first, so that canaries end too; then the rest, each asked to end; then what is left on the broker.

    Not before the calls of the fault have ended: that the last message of a queue was lost shows when a later one,
    a canary if nothing else, has been started.
    """
    trial.kept_up.clear()
    trial.keep_up()
    healed = trial.observed.healed_at
    with suppress(DeadlineMissed):
        trial.poll(
            lambda: not trial.tables.query(_OPEN_SINCE_THE_FAULT, healed), within_seconds=30, what="no call is overdue"
        )
    processes = trial.stack.processes
    for name in processes:
        if name.startswith("beat"):
            trial.end(processes[name])
    with suppress(DeadlineMissed):
        trial.poll(lambda: not trial.tables.query(_ANY_OPEN), within_seconds=30, what="no call is open")
        trial.poll(
            lambda: not contents(trial.ground.contents_url).messages, within_seconds=15, what="no message is left"
        )
    running = [process for process in processes.values() if process.running]
    for process in running:
        process.ask_to_end()
    for process in running:
        trial.end(process)
    trial.observed.contents = contents(trial.ground.contents_url, server=trial.ground.own_broker)
    result.samples, result.marks = trial.sampler.samples, trial.sampler.marks


# Only a call that was claimed once is still due when its debounce said: who is sent or tried again is due anew.
_BACKLOG = f"""
    SELECT greatest(0, extract(epoch FROM max(
        done_at - CASE WHEN generation <= 1 THEN greatest(due_at, %s) ELSE %s END
    ))) FROM task_calls WHERE created_at <= %s AND done_at > %s AND {IS_WORK}
"""
_RATE = f"""
    SELECT count(*) / extract(epoch FROM max(at) - min(at)) FROM effects WHERE {IS_WORK}
"""
_OPEN_SINCE_THE_FAULT = f"SELECT 1 FROM task_calls WHERE {IS_OPEN} AND created_at <= %s LIMIT 1"
_ANY_OPEN = f"SELECT 1 FROM task_calls WHERE {IS_OPEN} LIMIT 1"
