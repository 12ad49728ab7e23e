"""What one row found, with all that is needed to doubt it; one JSON file a row, written by one run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.rounds import Measure, Rounds
from bench.systems import ENVIRONMENTS, ROOT
from chaos.source import source_state

RESULTS = ROOT / "bench" / "results"
TOLD = (
    *("celery", "kombu", "redis", "hiredis", "amqp", "pika"),
    *("celery-redis-plus", "dramatiq", "huey", "rq", "taskiq", "taskiq-redis"),
)
FEWEST_ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Of two measures of the same run, or a measure itself; `reach` None: reported only."""

    what: str
    value: float
    unit: str = "times"
    reach: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether `reach` was reached; None where nothing was to be reached."""
        if self.reach is None:
            return None
        return self.value <= self.reach if self.at_most else self.value >= self.reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a row measured."""

    measures: Sequence[Measure]
    ratios: Sequence[Ratio]
    notes: Sequence[str] = ()


def write(
    row: str, title: str, found: Found, *, rounds: Rounds, began: datetime, servers: dict[str, str], where: Path
) -> Path:
    """One file; the ratios in it are final: no report computes with values of two files."""
    ended = datetime.now(UTC)
    content = {
        "row": row,
        "title": title,
        "command": f"make bench ROWS={row}",
        "run": {
            "id": f"{row}-{began:%Y%m%dT%H%M%SZ}-{rounds.seed}",
            "began": began.isoformat(timespec="seconds"),
            "seconds": round((ended - began).total_seconds()),
            "seed": rounds.seed,
            "rounds": rounds.count,
            "load_average_at_each_round": rounds.loads,
            "machine": machine(),
            "code": source_state("app", "bench", "chaos"),
            "versions": {"python": platform.python_version(), "servers": servers, "environments": environments()},
        },
        "measures": [asdict(measure) for measure in found.measures],
        "ratios": [asdict(ratio) | {"met": ratio.met} for ratio in found.ratios],
        "notes": list(found.notes),
    }
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{row}.json"
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


def machine() -> dict[str, Any]:
    """What it ran on."""
    models = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "kernel": platform.release(),
    }


def environments() -> dict[str, dict[str, str]]:
    """The versions that were compared, the project's own under `project`."""
    found = {"project": _versions(metadata.distributions())}
    for directory in sorted(ENVIRONMENTS.glob("*")):
        for packages in directory.glob("lib/python3.*/site-packages"):
            version = packages.parent.name.removeprefix("python")
            found[directory.name] = {"python": version} | _versions(metadata.distributions(path=[str(packages)]))
    return found


def _versions(distributions: Iterable[metadata.Distribution]) -> dict[str, str]:
    return {one.name: one.version for one in sorted(distributions, key=lambda one: one.name) if one.name in TOLD}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
