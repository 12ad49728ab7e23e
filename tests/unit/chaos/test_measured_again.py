"""Times that were over their limit are measured a second time, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import matrix, results
from chaos.command import line_of
from chaos.invariants.verdict import Verdict
from chaos.results import Result
from chaos.run import measured_again
from tests.unit.chaos.a_result import a_result

SLOW = Verdict(breaches=("p95 was 50 ms",), numbers={"healthy_p95": 0.027, "broken_p95": 0.05}, only_measured=True)
IN_TIME = Verdict(numbers={"healthy_p95": 0.027, "broken_p95": 0.028})
REFUSED = Verdict(breaches=("PUT /resources/x at 10:00:00: 503",))


def never() -> Result:
    raise AssertionError("was run again")


@pytest.mark.parametrize(
    "first",
    [
        a_result(verdicts={"I7": IN_TIME}),
        a_result(verdicts={"I7": REFUSED}),
        a_result(verdicts={"I7": SLOW, "I1": Verdict(breaches=("an event without its effect",))}),
        a_result(verdicts={"I7": SLOW}, trouble="the relay did not come up"),
    ],
    ids=["held", "a write was refused", "slow, and an event was lost", "slow, and not ended"],
)
def test_what_held_or_failed_by_more_than_times_is_not_run_again(first: Result) -> None:
    assert measured_again(first, never) is first
    assert first.doubted == {}


def test_times_that_another_run_does_not_confirm_are_told_and_are_no_breach(tmp_path: Path) -> None:
    last = measured_again(a_result(verdicts={"I7": SLOW}), lambda: a_result(verdicts={"I7": IN_TIME}))

    assert last.passed
    assert line_of(last).splitlines() == [
        "ok     13 redis       0.0 s  worker killed",
        "    I7, measured before: p95 was 50 ms",
    ]
    assert _cell_of(last, tmp_path) == "● 1.04 (1.85)"


def test_times_that_another_run_confirms_are_a_breach(tmp_path: Path) -> None:
    last = measured_again(a_result(verdicts={"I7": SLOW}), lambda: a_result(verdicts={"I7": SLOW}))

    assert not last.passed
    assert line_of(last).splitlines()[1:3] == [
        "    I7: p95 was 50 ms",
        "    I7, measured before: p95 was 50 ms",
    ]
    assert _cell_of(last, tmp_path) == "✗ 1.85 (1.85)"


def test_whatever_the_other_run_finds_counts() -> None:
    last = measured_again(a_result(verdicts={"I7": SLOW}), lambda: a_result(verdicts={"I7": REFUSED}))
    assert not last.passed


def _cell_of(result: Result, where: Path) -> str:
    results.write(result, servers={}, source=results.source_now(), where=where)
    head, _, row, *_ = matrix.table(results.read(where), where=Path()).splitlines()
    return dict(zip(head.split("|"), row.split("|"), strict=True))[" I7 "].strip()
