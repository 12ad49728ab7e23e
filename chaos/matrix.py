"""The matrix of faults and invariants, and the plots, from the results of the last run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos import plot, results
from chaos.invariants.table import INVARIANTS
from chaos.scenarios.table import SCENARIOS

BEGIN, END = "<!-- written by alexandria-chaos report -->\n", "<!-- end -->\n"


def write(where: Path, page: Path) -> str:
    """Into `page`, between its two marks, with a plot for each result beside the results; the matrix."""
    found = results.read(where)
    for one in found:
        _plot_path(where, one).write_text(plot.svg(one))
    matrix = table(found, where=where.relative_to(page.parent) if where.is_relative_to(page.parent) else where)
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{matrix}\n{END}{after}")
    return matrix


def table(found: Sequence[dict[str, Any]], *, where: Path) -> str:
    """`●` holds, `✗` does not, empty: not looked at. Times in seconds: from healing to drained, consuming; its own."""
    names = list(INVARIANTS)
    lines = [
        f"| # | fault | on | {' | '.join(names)} | drained | consuming | own median / max | seed | |",
        f"|---|---|---|{'---|' * len(names)}---|---|---|---|---|",
        *(_row(one, names, where) for one in found),
    ]
    return "\n".join([*lines, "", *_about(found)]) + "\n"


def _row(one: dict[str, Any], names: Sequence[str], where: Path) -> str:
    verdicts = one["verdicts"]
    cells = ["" if name not in verdicts else "✗" if verdicts[name]["breaches"] else "●" for name in names]
    own = verdicts.get("bound", {}).get("numbers", {})
    times = (
        _seconds(verdicts.get("I6", {}).get("numbers", {}).get("drained_seconds")),
        _seconds(verdicts.get("I10", {}).get("numbers", {}).get("slowest")),
        " / ".join(filter(None, (_seconds(own.get("median_seconds")), _seconds(own.get("max_seconds"))))),
    )
    fast = ", fast" if one["is_fast"] else ""
    trouble = " not ended" if not verdicts else ""
    link = f"[plot]({_plot_path(where, one).as_posix()})"
    return (
        f"| {one['scenario']} | {SCENARIOS[one['scenario']].fault}{fast}{trouble} | {one['broker']} |"
        f" {' | '.join(cells)} | {' | '.join(times)} | {one['seed']} | {link} |"
    )


def _about(found: Sequence[dict[str, Any]]) -> list[str]:
    commits = {f"{one['commit'][:10]}{'' if one['clean'] else ' with changes'}" for one in found}
    servers = {f"{name} {version}" for one in found for name, version in one["servers"].items()}
    loads = sorted(one["machine"]["load_average"] for one in found) or [0.0]
    cores = max((one["machine"]["cores"] for one in found), default=0)
    passed = sum(one["passed"] for one in found)
    return [
        f"{passed} of {len(found)} passed. Commit {', '.join(sorted(commits))}; {', '.join(sorted(servers))}.",
        f"Load average at the end of a scenario: {loads[0]:g} to {loads[-1]:g} on {cores} cores.",
        "fast: fewer rounds, or shorter, than the fault says; the results name the command that repeats each.",
    ]


def _plot_path(where: Path, one: dict[str, Any]) -> Path:
    return where / f"{one['scenario']:02}-{one['broker']}.svg"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
