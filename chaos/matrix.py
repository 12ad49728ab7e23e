"""The matrix of faults and invariants, the plots and a summary, from the results of the last run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos import origin, plot, results
from chaos.invariants.table import INVARIANTS
from chaos.scenarios.scenario import SETTINGS
from chaos.scenarios.table import SCENARIOS
from chaos.site import BROKERS

RECOVERY = ("backlog_seconds", "slowest", "max_seconds")
"""The times of a verdict: from healing until the backlog is gone, until every worker consumes, the scenario's own."""
NEW_PAGE = "# What held, and what did not\n\n"
BEGIN, END = "<!-- written by alexandria-chaos report -->\n", "<!-- end -->\n"


def page_of(where: Path) -> Path:
    """Where the matrix of these results goes: the project's into its README, another one beside its results."""
    return where.parent / "README.md" if where.resolve() == results.RESULTS else where / "matrix.md"


def write(where: Path, page: Path) -> str:
    """Into `page`, new or between its two marks, with a plot for each result beside the results; the summary."""
    found = results.read(where)
    for one in found:
        _plot_path(where, one).write_text(plot.svg(one))
    matrix = table(found, where=Path(os.path.relpath(where, page.parent)))
    before, _, rest = (page.read_text() if page.exists() else NEW_PAGE).partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{matrix}\n{END}{after}")
    return summary(found)


def table(found: Sequence[dict[str, Any]], *, where: Path) -> str:
    """`●` holds, `✗` does not, empty: not looked at. I7 with the p95 of writes during the faults, healthy ones being 1.

    Times in seconds: from healing until the backlog of then is gone, until each worker consumes; its own. Below it, a
    line for each scenario: its bound, in words, and under which load and settings.
    """
    names = list(INVARIANTS)
    lines = [
        f"| # | fault | on | {' | '.join(names)} | backlog gone | consuming median / max | own median / max | seed | |",
        f"|---|---|---|{'---|' * len(names)}---|---|---|---|---|",
        *(_row(one, names, where) for one in found),
    ]
    return "\n".join([*lines, "", *_about(found), "", *_bounds(found)]) + "\n"


def summary(found: Sequence[dict[str, Any]]) -> str:
    """One screen: a line a scenario, with what did not hold on each broker, or how long it took to recover."""
    width = max((len(SCENARIOS[one["scenario"]].title) for one in found), default=0)
    by_scenario: dict[int, dict[str, str]] = {}
    for one in found:
        by_scenario.setdefault(one["scenario"], {})[one["broker"]] = _outcome(one)
    lines = [
        f"{number:>2}  {SCENARIOS[number].title:<{width}}  "
        + "  ".join(f"{outcomes.get(broker, _absent(number, broker)):<24}" for broker in BROKERS).rstrip()
        for number, outcomes in sorted(by_scenario.items())
    ]
    head = f"{'':4}{'':<{width}}  " + "  ".join(f"{broker:<24}" for broker in BROKERS).rstrip()
    return "\n".join([head, *lines, "", _passed(found), *origin.told(found)])


def _outcome(one: dict[str, Any]) -> str:
    if one["passed"]:
        times = [verdict.get("numbers", {}) for verdict in one["verdicts"].values()]
        found = [each for numbers in times for name in RECOVERY if (each := numbers.get(name)) is not None]
        return f"ok    {max(found):.1f} s" if found else "ok"
    broken = [name for name, verdict in one["verdicts"].items() if verdict["breaches"]]
    return f"FAILED {' '.join(broken)}" if broken else "FAILED not ended"


def _absent(number: int, broker: str) -> str:
    return "not run" if broker in SCENARIOS[number].brokers else ""


def _passed(found: Sequence[dict[str, Any]]) -> str:
    return f"{sum(one['passed'] for one in found)} of {len(found)} passed."


def _row(one: dict[str, Any], names: Sequence[str], where: Path) -> str:
    verdicts = one["verdicts"]
    doubted = one.get("doubted", {})
    cells = [_cell(name, verdicts[name], doubted.get(name)) if name in verdicts else "" for name in names]
    of_draining, of_consuming, own = (verdicts.get(name, {}).get("numbers", {}) for name in ("I6", "I10", "bound"))
    times = (
        _seconds(of_draining.get("backlog_seconds")),
        _median_and_max(of_consuming) or _seconds(of_consuming.get("slowest")),
        _median_and_max(own),
    )
    fast = ", fast" if one["is_fast"] else ""
    trouble = " not ended" if not verdicts else ""
    link = f"[plot]({_plot_path(where, one).as_posix()})"
    return (
        f"| {one['scenario']} | {SCENARIOS[one['scenario']].fault}{fast}{trouble} | {one['broker']} |"
        f" {' | '.join(cells)} | {' | '.join(times)} | {one['seed']} | {link} |"
    )


def _bounds(found: Sequence[dict[str, Any]]) -> list[str]:
    """What is asked of each scenario beside the invariants; load and settings of each way in which it was run."""
    loads: dict[int, list[str]] = {}
    settings: dict[int, list[str]] = {}
    usual = _usual_settings(found)
    for one in found:
        loads.setdefault(one["scenario"], []).append(one["load"])
        settings.setdefault(one["scenario"], []).extend(each for each in _settings(one) if each not in usual)
    embedders = sorted({one["embedder"] for one in found})
    return [
        "| # | bound | load | settings of its own |",
        "|---|---|---|---|",
        *(
            f"| {number} | {SCENARIOS[number].bound} | {' or '.join(dict.fromkeys(of))} |"
            f" {', '.join(dict.fromkeys(settings[number]))} |"
            for number, of in sorted(loads.items())
        ),
        "",
        f"Settings, where it names none of its own: {', '.join(usual)}; else the product's defaults.",
        f"Embedder: {', '.join(embedders)}.",
    ]


def _usual_settings(found: Sequence[dict[str, Any]]) -> list[str]:
    """Those of more than half of the results."""
    counted = Counter(each for one in found for each in _settings(one))
    return [each for each, times in counted.items() if 2 * times > len(found)]


def _settings(one: dict[str, Any]) -> list[str]:
    """What the processes of a run were given; results had it not before, but what the scenario gives was given then."""
    given = one.get("environment") or {**SETTINGS, **SCENARIOS[one["scenario"]].environment}
    return [f"`{name}={value}`" for name, value in given.items()]


def _cell(name: str, verdict: dict[str, Any], doubted: dict[str, Any] | None) -> str:
    """Of I7 with the measured ratio: one that is over the number is refuted only when it is so for certain, and twice;
    the one of before in brackets.
    """
    mark = "✗" if verdict["breaches"] else "●"
    if name != "I7":
        return mark
    return f"{mark} {_slower(verdict)}".rstrip() + (f" ({_slower(doubted)})" if doubted else "")


def _slower(verdict: dict[str, Any]) -> str:
    """How many times the healthy p95; empty when there were too few writes to tell."""
    healthy, broken = (verdict.get("numbers", {}).get(p95) for p95 in ("healthy_p95", "broken_p95"))
    return f"{broken / healthy:.2f}" if healthy and broken else ""


def _about(found: Sequence[dict[str, Any]]) -> list[str]:
    servers = {f"{name} {version}" for one in found for name, version in one["servers"].items()}
    loads = sorted(one["machine"]["load_average"] for one in found) or [0.0]
    cores = max((one["machine"]["cores"] for one in found), default=0)
    return [
        f"{_passed(found)} {' '.join(origin.told(found))}",
        f"Servers: {', '.join(sorted(servers))}.",
        f"Load average at the end of a scenario: {loads[0]:g} to {loads[-1]:g} on {cores} cores.",
        "fast: fewer rounds and writes than the list says, or shorter; the results name the command that repeats each.",
    ]


def _plot_path(where: Path, one: dict[str, Any]) -> Path:
    return where / f"{one['scenario']:02}-{one['broker']}.svg"


def _median_and_max(numbers: dict[str, float | None]) -> str:
    """Of several times; empty when none was measured."""
    return " / ".join(filter(None, (_seconds(numbers.get(name)) for name in ("median_seconds", "max_seconds"))))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
