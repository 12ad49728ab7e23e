"""The benchmark's figures are medians of one run, and its table adds nothing to them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import results, table
from bench.latency import p95
from bench.results import Found, Ratio
from bench.rounds import Rounds, Values, medians
from bench.rows import ROWS
from bench.systems import ROOT

PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
LOCKS = sorted((ROOT / "bench/environments").glob("*.lock"))


def counted(calls: list[str], name: str) -> Callable[[], Values]:
    def side() -> Mapping[str, float]:
        calls.append(name)
        return {"done": float(len(calls))}

    return side


def test_every_side_runs_once_a_round_in_an_order_that_the_seed_decides() -> None:
    def order(seed: int) -> list[str]:
        calls: list[str] = []
        Rounds(count=5, seed=seed).alternate("B0", {name: counted(calls, name) for name in "abc"})
        return calls

    calls = order(1)
    assert all(sorted(calls[start : start + 3]) == ["a", "b", "c"] for start in range(0, 15, 3))
    assert order(1) == calls
    assert order(2) != calls


def test_a_side_stands_for_the_median_of_its_rounds() -> None:
    (measure,) = medians({"ours": [{"done": 3.0}, {"done": 100.0}, {"done": 2.0}]}, units={"done": "tasks/s"})
    assert (measure.value, measure.rounds) == (3.0, (3.0, 100.0, 2.0))


def test_the_95th_percentile_of_a_hundred() -> None:
    assert p95([float(number) for number in range(1, 101)]) == pytest.approx(95.05)


@pytest.mark.parametrize(
    ("ratio", "met"),
    [
        (Ratio(what="x", value=2.5, reach=2.5), True),
        (Ratio(what="x", value=2.4, reach=2.5), False),
        (Ratio(what="x", value=5.1, reach=5.0, at_most=True), False),
        (Ratio(what="x", value=4.9, reach=5.0, at_most=True), True),
        (Ratio(what="x", value=1.0), None),
    ],
)
def test_a_ratio_knows_whether_it_reached_what_was_wanted(ratio: Ratio, met: bool | None) -> None:
    assert ratio.met is met


def test_the_table_shows_what_the_file_holds_and_the_file_who_measured_it(tmp_path: Path) -> None:
    measures = medians({"ours": [{"done": 900.0}, {"done": 1234.0}, {"done": 2000.0}]}, units={"done": "tasks/s"})
    found = Found(measures=measures, ratios=[Ratio(what="ours / stock", value=2.0, reach=2.5)], notes=["a note"])
    rounds = Rounds(count=3, seed=7, loads=[0.5, 1.5])
    began = datetime.now(UTC)

    path = results.write("B1", "title", found, rounds=rounds, began=began, servers={"redis": "7.0"}, where=tmp_path)
    text = table.write(tmp_path, tmp_path / "table.md")

    assert "| ours, done | 1,234 tasks/s | 900 … 2,000 |" in text
    assert "| ours / stock: 2 times | ≥ 2.5 times | **no** |" in text
    assert "a note" in text
    run = json.loads(path.read_text())["run"]
    assert run["id"].endswith("-7")
    assert run["machine"]["cores"]
    assert set(run["code"]) == {"commit", "clean"}
    assert run["versions"]["environments"]["project"]["kombu"]


@pytest.mark.parametrize("arguments", [["--rounds", "1"], ["--share", "0.5"], ["B99"]])
def test_a_run_that_is_no_measurement_is_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert re.search(r"are a trial|no such row: B99", done.stderr)


def test_a_row_is_measured_by_five_rounds_and_kept_in_one_file() -> None:
    for path in (ROOT / "bench/results").glob("*.json"):
        kept = json.loads(path.read_text())
        assert path.stem == kept["row"]
        assert kept["row"] in ROWS
        assert kept["run"]["rounds"] >= results.FEWEST_ROUNDS


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_the_sides_use_the_same_client_of_redis(lock: Path) -> None:
    ours, theirs = (dict(PIN.findall(path.read_text())) for path in (ROOT / "requirements.lock", lock))
    shared = {"redis", "hiredis"} | ({"celery", "kombu", "billiard"} if lock.stem == "celery-redis-plus" else set())
    assert {name: theirs[name] for name in shared} == {name: ours[name] for name in shared}
