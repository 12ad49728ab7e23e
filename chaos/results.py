"""What one run of one scenario found: one JSON file for each scenario and broker."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from chaos.given_address import TOLD_TWICE
from chaos.invariants.verdict import Verdict
from chaos.sampler import Sample
from chaos.source import SourceState, source_state
from chaos.stack import ROOT

RESULTS = ROOT / "chaos" / "results"
RESULTS_OF_GIVEN = ROOT / "test-results" / "chaos-given"
"""Of brokers that an operator names: they are no part of the project's own matrix."""
SHORT_LIST = re.compile(r"\[[^\[\]{}]*\]")
"""A list of plain values: a sample, a mark."""
TOLD = ("celery", "kombu", "redis", "amqp", "pika", "sqlalchemy", "fastapi")


@dataclass(slots=True, kw_only=True)
class Result:
    """`settings`: of the product, that were to be tried; `environment`: these, those of the suite and those of the
    scenario, as its processes were given them. `given`: the address of an operator's broker, without its password;
    `is_beyond_loopback`: on another machine. `trouble`: why the scenario could not be brought to its end; empty: it
    was. `report`: the ends of all logs. `doubted`: the verdicts of a run before this one, whose times were to be
    measured again.
    """

    scenario: int
    title: str
    broker: str
    fault: str
    bound: str
    load: str
    embedder: str
    seed: int
    is_fast: bool
    began: datetime
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    given: str = ""
    is_beyond_loopback: bool = False
    trouble: str = ""
    report: str = ""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    doubted: dict[str, Verdict] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    exits: list[dict[str, Any]] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Brought to its end, and every invariant holds."""
        return not self.trouble and all(verdict.holds for verdict in self.verdicts.values())

    @property
    def is_in_doubt(self) -> bool:
        """Brought to its end, and nothing but measured times speaks against it."""
        against = [verdict for verdict in self.verdicts.values() if not verdict.holds]
        return bool(against) and not self.trouble and all(verdict.only_measured for verdict in against)

    @property
    def command(self) -> str:
        """What repeats it."""
        fast = " --fast" if self.is_fast else ""
        told = " --beyond-loopback" * TOLD_TWICE if self.is_beyond_loopback else ""
        broker = f"--broker-url {self.given}{told}" if self.given else f"--broker {self.broker}"
        tried = "".join(f" --set {shlex.quote(f'{name}={value}')}" for name, value in self.settings.items())
        return f"alexandria-chaos run {broker} --scenario {self.scenario} --seed {self.seed}{fast}{tried}"


def forget(scenario: int, broker: str, *, where: Path) -> None:
    """Remove what an earlier run left of it: who looks while it runs, or after it crashed, must not find that."""
    for ending in (".json", ".log", ".svg"):
        _path(where, scenario, broker).with_suffix(ending).unlink(missing_ok=True)


def source_now() -> SourceState:
    """What is about to be run: asked before the first process starts, since whoever commits meanwhile changes nothing
    of what runs.
    """
    return source_state(
        "app", "migrations", "chaos", "pyproject.toml", "*.lock", ":!chaos/results", ":!chaos/README.md"
    )


def write(result: Result, *, servers: dict[str, str], source: SourceState, where: Path) -> Path:
    """Over the last one of the same scenario and broker; beside it the ends of the logs, when it did not pass."""
    content = asdict(result) | {
        "began": result.began.isoformat(timespec="seconds"),
        "passed": result.passed,
        "command": result.command,
        **source,
        "servers": servers,
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in TOLD},
        "machine": {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 2)},
        "samples": [[one.seconds, one.open_calls, one.stale] for one in result.samples],
    }
    content.pop("report")
    where.mkdir(parents=True, exist_ok=True)
    path = _path(where, result.scenario, result.broker)
    log = path.with_suffix(".log")
    if result.passed:
        log.unlink(missing_ok=True)
    else:
        log.write_text(result.report + "\n")
    text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(SHORT_LIST.sub(lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n")
    unfinished.replace(path)  # whoever reads it finds it whole
    return path


def read(where: Path) -> list[dict[str, Any]]:
    """All that are there, by scenario and broker."""
    return [json.loads(path.read_text()) for path in sorted(where.glob("*.json"))]


def _path(where: Path, scenario: int, broker: str) -> Path:
    return where / f"{scenario:02}-{broker}.json"
