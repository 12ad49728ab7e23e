"""The page of the matrix says in words whether it shows one run."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from chaos import matrix, origin, results
from chaos.scenarios.table import SCENARIOS
from chaos.stack import ROOT
from tests.unit.chaos.a_result import a_result

COMMIT, OTHER = "0123456789" * 4, "fedcba9876" * 4


def a_run(**others: Any) -> list[dict[str, Any]]:
    """A result of each everyday scenario on each of its brokers."""
    same = {"commit": COMMIT, "clean": True, "seed": 7, "is_fast": False, "given": "", **others}
    return [
        {"scenario": number, "broker": broker, **same}
        for number, scenario in SCENARIOS.items()
        for broker in scenario.brokers
        if not scenario.is_apart and (scenario.is_fast or not same["is_fast"])
    ]


def changed(found: list[dict[str, Any]], scenario: int, broker: str, **others: Any) -> list[dict[str, Any]]:
    return [one | others if (one["scenario"], one["broker"]) == (scenario, broker) else one for one in found]


def test_one_run_is_called_one() -> None:
    assert origin.told(a_run()) == ["One run: commit 0123456789, seed 7, all rounds, on brokers of its own."]
    assert origin.told(a_run(is_fast=True)) == [
        "One run: commit 0123456789, seed 7, the fast set, on brokers of its own."
    ]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"seed": 8}, "seed 8: 13 redis"),
        ({"commit": OTHER}, "commit fedcba9876: 13 redis"),
        ({"clean": False}, "commit 0123456789 with changes: 13 redis"),
        ({"is_fast": True}, "the fast set: 13 redis"),
        ({"given": "redis://127.0.0.1:6379/0"}, "on redis://127.0.0.1:6379/0: 13 redis"),
        ({"settings": {"MAX_DELIVERIES": "3"}}, "with MAX_DELIVERIES=3: 13 redis"),
    ],
)
def test_a_result_of_another_run_is_named_with_what_is_otherwise(others: dict[str, Any], words: str) -> None:
    [sentence] = origin.told(changed(a_run(), 13, "redis", **others))
    assert sentence.startswith("Of several runs, not of one. Most: commit 0123456789, seed 7, all rounds")
    assert sentence.endswith(f"Of others: {words}.")


def test_the_soak_may_have_its_own_seed_and_nothing_else() -> None:
    soak = [{**one, "scenario": 34, "seed": 9} for one in a_run() if one["scenario"] == 13]
    one_run, apart = origin.told(a_run() + soak)
    assert one_run.startswith("One run: ")
    assert apart == "Scenario 34 is run apart: seed 9."

    older = [{**one, "commit": OTHER} for one in soak]
    several, _ = origin.told(a_run() + older)
    assert several.endswith("Of others: commit fedcba9876: 34 redis, 34 rabbitmq.")


def test_what_has_no_result_is_named() -> None:
    found = [one for one in a_run() if (one["scenario"], one["broker"]) not in {(18, "redis"), (23, "rabbitmq")}]
    assert origin.told(found)[1:] == ["No result: redis: 18; rabbitmq: 23."]
    given = [one for one in a_run(given="redis://127.0.0.1:6379/0") if one["broker"] == "redis" and one["scenario"] < 9]
    assert len(origin.told(given)) == 1
    assert origin.told([]) == ["There are no results."]


def test_page_and_summary_say_so(tmp_path: Path) -> None:
    directory = tmp_path / "results"
    page = tmp_path / "README.md"
    page.write_text(f"{matrix.BEGIN}{matrix.END}")
    for number, seed in ((13, 7), (14, 7), (15, 8)):
        results.write(a_result(scenario=number, seed=seed), servers={}, source=results.source_now(), where=directory)
    for text in (matrix.write(directory, page), page.read_text()):
        assert "Of several runs, not of one." in text
        assert "Of others: seed 8: 15 redis." in text


@pytest.mark.parametrize("target", ["chaos", "chaos-fast"])
def test_make_gives_both_brokers_the_same_seed(target: str) -> None:
    there = ("-o", "test-servers", "-o", ".venv/.ready-to-develop")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(
        ["make", *there, target, "CHAOS=echo chaos", "PYTEST=echo pytest", "SEED="],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    seeds = re.findall(r"^chaos run .*--seed (\d+)|^EMBEDDED_SEED=(\d+) ", said, re.MULTILINE)
    assert len(seeds) == (3 if target == "chaos" else 2)
    assert len({one or other for one, other in seeds}) == 1
