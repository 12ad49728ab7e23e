"""One scenario from its servers to its verdicts."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from chaos import phases
from chaos.documents import DocumentServer
from chaos.invariants.observed import Observed
from chaos.invariants.table import INVARIANTS
from chaos.ledger import Ledger
from chaos.lines import Lines, laid
from chaos.polling import DeadlineMissed
from chaos.processes import HarnessError
from chaos.results import Result
from chaos.sampler import Sampler
from chaos.scenarios.scenario import SETTINGS, Scenario
from chaos.site import Ground, Site
from chaos.stack import ROOT, Stack
from chaos.tables import Tables
from chaos.trial import Trial
from chaos.workload import Workload


def run(
    scenario: Scenario,
    site: Site,
    *,
    broker: str,
    seed: int,
    is_fast: bool,
    settings: Mapping[str, str] | None = None,
    source: Path = ROOT,
) -> Result:
    """Never raises for what the product does: that is a verdict, or the `trouble` of the result.

    `settings`: of the product, to be tried; those of a scenario come first. `source`: see `Stack`. See `measured_again`
    for what is run twice.
    """

    def once() -> Result:
        return _run_once(
            scenario, site, broker=broker, seed=seed, is_fast=is_fast, settings=settings or {}, source=source
        )

    return measured_again(once(), once)


def measured_again(first: Result, once: Callable[[], Result]) -> Result:
    """`first`, or, when nothing but measured times speaks against it, another one that has the last word.

    What the product does to these times it does both times; another guest of the machine hardly comes back.
    """
    if not first.is_in_doubt:
        return first
    last = once()
    last.doubted = {name: one for name, one in first.verdicts.items() if not one.holds}
    return last


def _run_once(
    scenario: Scenario,
    site: Site,
    *,
    broker: str,
    seed: int,
    is_fast: bool,
    settings: Mapping[str, str],
    source: Path,
) -> Result:
    scenario = replace(scenario, environment={**settings, **scenario.environment})
    result = Result(
        scenario=scenario.number,
        title=scenario.title,
        broker=broker,
        fault=scenario.fault,
        bound=scenario.bound,
        load="its own" if scenario.load is None else scenario.load.described(is_fast=is_fast),
        embedder=scenario.embedder,
        seed=seed,
        is_fast=is_fast,
        began=datetime.now(UTC),
        settings=dict(settings),
        environment={**SETTINGS, **scenario.environment},
    )
    clock = Clock(result)
    try:
        with staged(scenario, site, broker=broker, seed=seed, is_fast=is_fast, source=source) as trial:
            clock.end("start")
            try:
                _play(trial, scenario, seed, clock)
            except Exception as error:  # noqa: BLE001 — what the scenario does not expect is trouble too
                _note_trouble(result, error, trial.stack.report())
            try:
                phases.end(trial, result)
                clock.end("stop")
                _judge(trial, scenario, result)
            except Exception as error:  # noqa: BLE001 — a process that does not end, say: its log is still there
                _note_trouble(result, error, trial.stack.report())
    except Exception as error:  # noqa: BLE001 — whatever came of it, the next scenario is run
        _note_trouble(result, error)
    result.seconds = round((datetime.now(UTC) - result.began).total_seconds(), 1)
    return result


def _note_trouble(result: Result, error: Exception, logs: str = "") -> None:
    """The first counts. The notes of an error are the logs of what is gone by now."""
    if not result.trouble:
        result.trouble = _told(error)
        result.report = "\n".join([*getattr(error, "__notes__", ()), logs]).strip()


def _told(error: Exception) -> str:
    """One that the harness expects has its words; of another, where it came from."""
    if isinstance(error, DeadlineMissed | HarnessError):
        return str(error)
    return "".join(traceback.format_exception(error)).strip()


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
        scale = float(stack.environment["DEBOUNCE_SCALE"])
        tables = running.enter_context(closing(Tables(ground.database_url)))
        running.enter_context(stack)
        sampler = running.enter_context(Sampler(ground.database_url))
        trial = Trial(
            ground=ground,
            stack=stack,
            lines=lines,
            documents=documents,
            observed=Observed(tables=tables, ledger=Ledger(), bounds=scenario.bounds, debounce_scale=scale),
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
    phases.warm_up(trial, scenario, seed)
    trial.note_warm()
    clock.end("warm up")
    if scenario.load is None:
        scenario.act(trial)
        phases.heal(trial, scenario)
    else:
        with Workload(trial.stack.url, trial.ledger, scenario.load, seed=seed):
            scenario.act(trial)
            clock.end("fault")
            phases.heal(trial, scenario)
            phases.write_enough(trial, scenario.load)
    clock.end("heal")
    phases.drain(trial)
    if scenario.afterwards is not None:
        scenario.afterwards(trial)
    clock.end("drain")
    phases.compare(trial, scenario, seed=seed + 3)
    clock.end("compare")


def _judge(trial: Trial, scenario: Scenario, result: Result) -> None:
    seen = trial.observed
    result.verdicts = {name: INVARIANTS[name](seen) for name in scenario.invariants}
    result.writes = {"accepted": seen.ledger.accepted, "failed": len(seen.ledger.failed())}
    result.faults = [
        {"name": one.name, "began": one.began, "ended": one.ended, "missed": one.missed} for one in seen.faults
    ]
    result.exits = [asdict(one) for one in seen.exits]
    result.measured = [asdict(one) for one in seen.measured]
    if not result.passed and not result.report:
        result.report = trial.stack.report()
