"""One scenario from its servers to its verdicts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from chaos.broker_contents import contents
from chaos.documents import DocumentServer
from chaos.invariants.observed import Observed
from chaos.invariants.pace import GRACE_SECONDS
from chaos.invariants.table import INVARIANTS
from chaos.ledger import Ledger
from chaos.lines import Lines, laid
from chaos.polling import DeadlineMissed
from chaos.processes import HarnessError
from chaos.results import Result
from chaos.sampler import Sampler
from chaos.scenarios.scenario import Scenario
from chaos.site import Ground, Site
from chaos.stack import ROOT, Stack
from chaos.tables import IS_OPEN, Tables
from chaos.trial import Trial
from chaos.workload import Load, Workload

SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "BROKER_NAME": "chaos",  # every role reaches it at another port
    "DEBOUNCE_SCALE": "0.2",
    "RETRY_FIRST_DELAY_SECONDS": "0.5",
    "CANARY_INTERVAL_SECONDS": "1",
    "RECONCILE_INTERVAL_SECONDS": "3600",  # what was lost must come back without it
}
WARM_UP_RESOURCES = 15
HEALTHY_WRITES = 100
"""Before the fault, and as many after it: what else the machine does meanwhile changes both sides alike."""
WARM_WITHIN_SECONDS = 60.0
LATE_SECONDS = 60.0
"""How long a bound that is missed is still waited for, so that the miss is a number."""


def run(scenario: Scenario, site: Site, *, broker: str, seed: int, is_fast: bool, source: Path = ROOT) -> Result:
    """Never raises for what the product does: that is a verdict, or the `trouble` of the result.

    `source`: see `Stack`.
    """
    result = Result(
        scenario=scenario.number,
        title=scenario.title,
        broker=broker,
        fault=scenario.fault,
        load="its own" if scenario.load is None else scenario.load.described(is_fast=is_fast),
        embedder=scenario.embedder,
        seed=seed,
        is_fast=is_fast,
        began=datetime.now(UTC),
    )
    clock = Clock(result)
    try:
        with staged(scenario, site, broker=broker, seed=seed, is_fast=is_fast, source=source) as trial:
            clock.end("start")
            try:
                _play(trial, scenario, seed, clock)
            except (DeadlineMissed, HarnessError) as error:
                result.trouble = str(error)
            _end(trial, result)
            clock.end("stop")
            _judge(trial, scenario, result)
    except (DeadlineMissed, HarnessError) as error:
        result.trouble = result.trouble or str(error)
    result.seconds = round((datetime.now(UTC) - result.began).total_seconds(), 1)
    return result


class Clock:
    """Seconds of each phase of a run."""

    def __init__(self, result: Result) -> None:
        self._phases = result.phases
        self._began = time.monotonic()

    def end(self, phase: str) -> None:
        """It is over; the next begins."""
        self._phases[phase] = round(time.monotonic() - self._began, 1)
        self._began = time.monotonic()


@contextmanager
def staged(scenario: Scenario, site: Site, *, broker: str, seed: int, is_fast: bool, source: Path) -> Iterator[Trial]:
    """Servers, lines and processes of a scenario, up; all gone at the end of the block."""
    with ExitStack() as running:
        ground = running.enter_context(
            site.ground(
                broker,
                own_broker=scenario.breaks_broker,
                sentinel=scenario.behind_sentinel,
                spare=scenario.has_spare_broker,
            )
        )
        documents = running.enter_context(DocumentServer())
        lines = running.enter_context(_lines(scenario, ground, seed)) if scenario.breaks_lines else None
        stack = Stack(
            database_url=ground.database_url,
            broker_url=ground.broker_url,
            cache_url=ground.cache_url,
            processes=scenario.processes,
            source=source,
            environment={
                **SETTINGS,
                "EMBEDDING_ENGINE": scenario.embedder,
                "INGEST_ALLOWED_PRIVATE_HOSTS": documents.authority,
                **scenario.environment,
            },
            own_environments={name: lines.environment_of(name) for name in scenario.processes} if lines else {},
        )
        tables = running.enter_context(closing(Tables(ground.database_url)))
        running.enter_context(stack)
        sampler = running.enter_context(Sampler(ground.database_url))
        trial = Trial(
            ground=ground,
            stack=stack,
            lines=lines,
            documents=documents,
            observed=Observed(tables=tables, ledger=Ledger(), bounds=scenario.bounds),
            sampler=sampler,
            seed=seed,
            is_fast=is_fast,
        )
        yield running.enter_context(closing(trial))


@contextmanager
def _lines(scenario: Scenario, ground: Ground, seed: int) -> Iterator[Lines]:
    servers = {"broker": ground.broker_url, "database": ground.database_url, "cache": ground.cache_url}
    with laid(scenario.processes, servers, seed=seed) as lines:  # type: ignore[arg-type]  # of literal keys
        yield lines


def _play(trial: Trial, scenario: Scenario, seed: int, clock: Clock) -> None:
    _warm_up(trial, scenario, seed)
    clock.end("warm up")
    if scenario.load is None:
        scenario.act(trial)
        _heal(trial, scenario)
    else:
        with Workload(trial.stack.url, trial.ledger, scenario.load, seed=seed):
            scenario.act(trial)
            clock.end("fault")
            _heal(trial, scenario)
            _write_enough(trial, scenario.load)
    clock.end("heal")
    _drain(trial)
    clock.end("drain")
    _write_healthily(trial, scenario, seed=seed + 3)
    clock.end("compare")


def _warm_up(trial: Trial, scenario: Scenario, seed: int) -> None:
    """The first resources, as fast as they go: how many calls a second this machine does while nothing is broken."""
    burst = Load(writes=WARM_UP_RESOURCES, per_second=1, resources=WARM_UP_RESOURCES)
    with Workload(trial.stack.url, trial.ledger, burst, seed=seed + 1) as workload:
        for _ in range(WARM_UP_RESOURCES):
            workload.write()
    trial.poll(trial.tables.has_converged, within_seconds=WARM_WITHIN_SECONDS, what="the first resources are built")
    trial.observed.rate = float(trial.tables.one(_RATE))
    _write_healthily(trial, scenario, seed=seed + 2)


def _write_healthily(trial: Trial, scenario: Scenario, *, seed: int) -> None:
    """What I7 compares with: the same load while nothing is broken."""
    if "I7" not in scenario.also or scenario.load is None:
        return
    known = len(trial.ledger.writes)
    with Workload(trial.stack.url, trial.ledger, scenario.load, seed=seed):
        enough = known + HEALTHY_WRITES
        trial.poll(lambda: len(trial.ledger.writes) >= enough, within_seconds=60, what="healthy writes")
    trial.observed.healthy += trial.ledger.writes[known:]
    trial.poll(trial.tables.has_converged, within_seconds=LATE_SECONDS, what="the healthy writes are built")


def _heal(trial: Trial, scenario: Scenario) -> None:
    """Note the moment: lines are whole, who was killed is back. How long every worker takes to consume from then on."""
    seen = trial.observed
    seen.healed_at = datetime.now(UTC)
    seen.backlog = trial.tables.open_calls()
    if "I10" in scenario.also:
        patience = seen.bounds.consuming_seconds + LATE_SECONDS / 2
        seen.consuming_seconds = trial.wait_until_consuming(within_seconds=patience, since=seen.healed_at)


def _write_enough(trial: Trial, load: Load) -> None:
    least = load.fast_writes if trial.is_fast else load.writes
    patience = 30 + 3 * least / load.per_second
    trial.poll(lambda: trial.ledger.accepted >= least, within_seconds=patience, what="the least number of writes")


def _drain(trial: Trial) -> None:
    seen = trial.observed
    last = max((write.at for write in seen.ledger.writes), default=datetime.now(UTC))
    began = max(last, seen.healed_at or last)
    bound = seen.bounds.drained_seconds or GRACE_SECONDS + seen.backlog / max(seen.rate, 0.1)
    with suppress(DeadlineMissed):
        trial.poll(trial.tables.has_converged, within_seconds=bound + LATE_SECONDS, what="drained", every_seconds=0.2)
        seen.drained_seconds = (datetime.now(UTC) - began).total_seconds()


def _end(trial: Trial, result: Result) -> None:
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


def _judge(trial: Trial, scenario: Scenario, result: Result) -> None:
    seen = trial.observed
    result.verdicts = {name: INVARIANTS[name](seen) for name in scenario.invariants}
    result.writes = {"accepted": seen.ledger.accepted, "failed": len(seen.ledger.failed())}
    result.faults = [
        {"name": one.name, "began": one.began, "ended": one.ended, "missed": one.missed} for one in seen.faults
    ]
    result.exits = [asdict(one) for one in seen.exits]
    result.measured = [asdict(one) for one in seen.measured]
    if not result.passed:
        result.report = trial.stack.report()


_RATE = """
    SELECT count(*) / extract(epoch FROM max(at) - min(at)) FROM effects
    WHERE task <> 'canary_task'
"""
_OPEN_SINCE_THE_FAULT = f"SELECT 1 FROM task_calls WHERE {IS_OPEN} AND created_at <= %s LIMIT 1"
_ANY_OPEN = f"SELECT 1 FROM task_calls WHERE {IS_OPEN} LIMIT 1"
