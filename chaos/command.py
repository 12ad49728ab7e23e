"""Break a real stack, and say what held."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from chaos import matrix, results, warm_start
from chaos.candidate import CandidateRefused, kept_by_scenarios, settings_of
from chaos.directories import new_directory
from chaos.given_address import BrokerRefused
from chaos.given_broker import GivenBroker, accept
from chaos.processes import ProgramMissing
from chaos.results import RESULTS, RESULTS_OF_GIVEN, Result
from chaos.run import run
from chaos.scenarios.scenario import Scenario
from chaos.scenarios.table import SCENARIOS
from chaos.servers.toxiproxy import program
from chaos.site import BROKERS, Site
from chaos.stack import ROOT
from chaos.turns import Turns


def main(arguments: Sequence[str] | None = None) -> int:
    """0: everything held. 1: something did not. 2: it cannot be tried here, or not like this."""
    options = _parser().parse_args(arguments)
    if options.command == "report":
        return _report(options.results, options.page)
    chosen = _chosen(options)
    try:
        options.settings = settings_of(options.set)
    except CandidateRefused as refusal:
        print(f"alexandria-chaos: {refusal}", file=sys.stderr)
        return 2
    given = None
    if options.broker_url is not None:
        try:
            if options.broker is not None:
                raise BrokerRefused("--broker-url says which broker it is: leave --broker out")
            given = accept(options.broker_url, times_told=options.beyond_loopback)
            chosen = _possible_on(given, chosen, options)
        except BrokerRefused as refusal:
            print(f"alexandria-chaos: {refusal}", file=sys.stderr)
            return 2
    if any(scenario.breaks_lines for scenario in chosen):
        try:
            program()
        except ProgramMissing as missing:
            chosen = [scenario for scenario in chosen if not scenario.breaks_lines]
            # Where nobody reads along, less would pass for all.
            if os.environ.get("CI") == "true" or options.scenario or not chosen:
                print(f"alexandria-chaos: {missing}", file=sys.stderr)
                return 2
            left = ", ".join(str(scenario.number) for scenario in chosen)
            print(f"alexandria-chaos: {missing}; only what needs none is run: {left}", file=sys.stderr, flush=True)
    is_of_operator = given is not None or bool(options.settings)
    where = where_results_go(options.results, is_of_operator=is_of_operator)
    for sentence in kept_by_scenarios(options.settings, chosen):
        print(f"alexandria-chaos: {sentence}", file=sys.stderr, flush=True)
    code = _run_all(chosen, options, given, where)
    return max(code, _report(where, None)) if is_of_operator else code


def where_results_go(asked_for: Path | None, *, is_of_operator: bool) -> Path:
    """An operator's broker or settings have no place in the project's own matrix, unless somebody says so."""
    return asked_for or (RESULTS_OF_GIVEN if is_of_operator else RESULTS)


def _report(where: Path, page: Path | None) -> int:
    if not results.read(where):
        print(f"alexandria-chaos: there are no results in {where}", file=sys.stderr)
        return 2
    page = page or matrix.page_of(where)
    print(matrix.write(where, page))
    print(f"\nThe matrix, with a plot of each: {page}")
    return 0


def _possible_on(given: GivenBroker, chosen: Sequence[Scenario], options: argparse.Namespace) -> list[Scenario]:
    """Those that only break lines; a scenario that was asked for by its number is not left out in silence."""
    possible = [one for one in chosen if given.kind in one.brokers and not one.needs_own_broker]
    if options.scenario and len(possible) < len(chosen):
        left = ", ".join(str(one.number) for one in chosen if one not in possible)
        raise BrokerRefused(f"scenario {left} is not for a {given.kind} of yours, of which only the lines are broken")
    return possible


def _run_all(chosen: Sequence[Scenario], options: argparse.Namespace, given: GivenBroker | None, where: Path) -> int:
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    brokers = (given.kind,) if given else options.broker or BROKERS
    planned = [(scenario, broker) for scenario in chosen for broker in brokers if broker in scenario.brokers]
    if not planned:
        print(f"nothing was run: what was asked for is not for {' and '.join(brokers)}")
        return 0
    for scenario, broker in planned:
        results.forget(scenario.number, broker, where=where)
    failed, source = 0, results.source_now()
    with _warm_starts(), Site(given) as site, closing(Turns(_place_of_turns())) as turns:
        for scenario, broker in planned:
            with _turn(turns, alone=scenario.runs_alone(is_fast=options.fast)):
                result = run(scenario, site, broker=broker, seed=seed, is_fast=options.fast, settings=options.settings)
            if given:
                result.given, result.is_beyond_loopback = given.place, not given.is_loopback
            servers = site.versions(lines=scenario.breaks_lines)
            results.write(result, servers=servers, source=source, where=where)
            print(line_of(result), flush=True)
            failed += not result.passed
    print(f"{failed} failed" if failed else "all held")
    return 1 if failed else 0


@contextmanager
def _turn(turns: Turns, *, alone: bool) -> Iterator[None]:
    """A run on the other broker takes the processors in bursts: beside it times would be those of both."""
    with turns.beside_others(), turns.alone() if alone else nullcontext():
        yield


def _place_of_turns() -> Path:
    """One for all runs of this user on this machine, of whatever checkout."""
    place = Path(tempfile.gettempdir()) / f"alexandria-turns-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


@contextmanager
def _warm_starts() -> Iterator[None]:
    directory = new_directory("chaos")
    warm_start.begin(directory / "warm.log", restarts=False)
    try:
        yield
    finally:
        warm_start.end()
        shutil.rmtree(directory, ignore_errors=True)


def line_of(result: Result) -> str:
    """One line; below it what did not hold, or was measured again, and how to repeat it."""
    mark = "ok    " if result.passed else "FAILED"
    line = f"{mark} {result.scenario:>2} {result.broker:<8} {result.seconds:>6.1f} s  {result.title}"
    breaches = [f"    {name}: {one}" for name, verdict in result.verdicts.items() for one in verdict.breaches]
    breaches += [f"    {name}, measured before: {one}" for name, of in result.doubted.items() for one in of.breaches]
    if result.passed:
        return "\n".join([line, *breaches])
    trouble = [f"    {result.trouble.splitlines()[0][:200]}"] if result.trouble else []
    return "\n".join([line, *breaches, *trouble, f"    repeat: {result.command}"])


def _chosen(options: argparse.Namespace) -> list[Scenario]:
    if options.scenario:
        return [SCENARIOS[number] for number in options.scenario]
    everyday = [scenario for scenario in SCENARIOS.values() if not scenario.is_apart]
    return [scenario for scenario in everyday if scenario.is_fast or not options.fast]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alexandria-chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run scenarios on servers and processes of their own")
    running.add_argument(
        "--scenario", type=_number, action="append", help="a number; all but the soak, 34, when left out"
    )
    running.add_argument("--broker", choices=BROKERS, action="append", help="both when left out")
    running.add_argument(
        "--broker-url",
        metavar="URL",
        help="an empty broker of yours, redis:// or amqp://, instead of one of the suite's own; processes, database and"
        " cache stay the suite's, and only the lines to it are broken",
    )
    running.add_argument(
        "--beyond-loopback",
        action="count",
        default=0,
        help="said twice: --broker-url may be on another machine",
    )
    running.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a setting of the product to be tried, for all its processes; again for more of them",
    )
    running.add_argument("--seed", type=int, help="of load, moments and jitter; drawn and printed when left out")
    running.add_argument("--fast", action="store_true", help="the fast set, with fewer rounds of each fault")
    running.add_argument(
        "--results",
        type=Path,
        metavar="DIRECTORY",
        help=f"where the results go: {_from_root(RESULTS)}, with --broker-url or --set {_from_root(RESULTS_OF_GIVEN)}",
    )
    report = commands.add_parser("report", help="print a summary of results, and write their matrix and a plot of each")
    report.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIRECTORY",
        help=f"whose; {_from_root(RESULTS)} when left out, and of --broker-url or --set {_from_root(RESULTS_OF_GIVEN)}",
    )
    report.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="the Markdown file with the matrix; when left out, matrix.md beside the results, or this suite's README",
    )
    return parser


def _from_root(path: Path) -> Path:
    return path.relative_to(ROOT)


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"there are the scenarios {', '.join(map(str, SCENARIOS))}")
    return int(text)
