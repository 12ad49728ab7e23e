"""The table in bench/README.md, made from the files of bench/results. It computes nothing: each file is one run."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.rows import ROWS
from bench.systems import ROOT

HEAD = """\
# Side by side

Written by `make bench`; do not edit. `make bench ROWS=B1,B4` measures some rows anew.

Each row is one run: its sides ran in alternating rounds, in an order drawn from the seed, on the same servers
(Redis with the append-only file written out every second, RabbitMQ with durable queues), each round in new
processes. A value is the median of the rounds, with the least and the greatest beside it; a ratio is of two values
of that run. Values of different rows come from different minutes and are not to be compared, those of different
machines even less: `bench/results/*.json` holds the rounds, the load of the machine, the versions and the seed.

| row | side | value | rounds | ratio, or limit | wanted | met |
|---|---|--:|---|---|---|---|
"""


def write(results: Path, to: Path) -> str:
    """The text, which is also written to the file."""
    rows = [json.loads(path.read_text()) for row in ROWS if (path := results / f"{row}.json").exists()]
    body = "".join(line + "\n" for row in rows for line in _lines(row))
    runs = "".join(_about(row) for row in rows)
    text = f"{HEAD}{body}\n## The runs\n\n{runs}\n## How each side is set up\n\n{_set_up()}"
    to.write_text(text)
    return text


def missed(results: Path, rows: Sequence[str]) -> list[str]:
    """Of these rows, what was wanted and not reached."""
    told = [json.loads((results / f"{row}.json").read_text()) for row in rows]
    return [f"{row['row']}: {ratio['what']}" for row in told for ratio in row["ratios"] if ratio["met"] is False]


def _lines(row: dict[str, Any]) -> Iterator[str]:
    yield f"| **{row['row']}** | **{row['title']}**: `{row['command']}` | | | | | |"
    for measure in row["measures"]:
        rounds = f"{_number(min(measure['rounds']))} … {_number(max(measure['rounds']))}"
        if measure["what"] == "doubled" and not measure["value"]:
            continue
        value = f"{_number(measure['value'])} {measure['unit']}"
        yield f"| | {measure['side']}, {measure['what']} | {value} | {rounds} | | | |"
    for ratio in row["ratios"]:
        sign = "≤" if ratio["at_most"] else "≥"
        wanted = "" if ratio["reach"] is None else f"{sign} {_number(ratio['reach'])} {ratio['unit']}"
        met = {True: "yes", False: "**no**", None: ""}[ratio["met"]]
        yield f"| | | | | {ratio['what']}: {_number(ratio['value'])} {ratio['unit']} | {wanted} | {met} |"
    for note in row["notes"]:
        yield f"| | {note} | | | | | |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _about(row: dict[str, Any]) -> str:
    run, machine = row["run"], row["run"]["machine"]
    loads = run["load_average_at_each_round"]
    servers = ", ".join(f"{name} {version}" for name, version in run["versions"]["servers"].items())
    code = run["code"]["commit"][:10] + ("" if run["code"]["clean"] else " with changes")
    how = f"{run['began']}, {run['seconds']} s, {run['rounds']} rounds, seed {run['seed']}, code {code}"
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"
    return f"- **{row['row']}**: {how}; {where}; load {min(loads)} … {max(loads)}; {servers}\n"


def _set_up() -> str:
    """What the modules of bench/apps say of themselves."""
    names = (
        "celery_ours",
        "celery_stock",
        "celery_nothing",
        "celery_nothing_told",
        "celery_plus",
        "dramatiq_redis",
        "dramatiq_rabbitmq",
    )
    others = ("huey_redis", "taskiq_redis_stream", "rq_redis")
    said = {name: ast.get_docstring(ast.parse((ROOT / f"bench/apps/{name}.py").read_text())) for name in names + others}
    return "".join(f"- `bench/apps/{name}.py`: {' '.join((text or '').split())}\n" for name, text in said.items())
