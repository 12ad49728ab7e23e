"""A result as a scenario leaves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chaos.invariants.verdict import Verdict
from chaos.results import Result
from chaos.sampler import Sample


def a_result(*, verdicts: dict[str, Verdict] | None = None, **others: Any) -> Result:
    """Of scenario 13 on Redis, fast, with seed 7, which passed, unless told otherwise."""
    given: dict[str, Any] = {
        "scenario": 13,
        "title": "worker killed",
        "broker": "redis",
        "fault": "SIGKILL",
        "bound": "it runs elsewhere",
        "load": "some",
        "embedder": "hashing",
        "seed": 7,
        "is_fast": True,
        "began": datetime(2026, 11, 25, tzinfo=UTC),
        "samples": [Sample(seconds=0.5, open_calls=3, stale=2), Sample(seconds=1.0, open_calls=40, stale=0)],
        "marks": [(0.7, "down <&>"), (0.9, "healed")],
        **others,
    }
    held = {"I1": Verdict(), "I6": Verdict(numbers={"backlog_seconds": 3.25})}
    return Result(**given, verdicts=held | (verdicts or {}))
