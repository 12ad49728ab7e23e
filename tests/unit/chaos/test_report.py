"""Results, matrix, plot and command line of the chaos suite."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from chaos import command, matrix, plot, results
from chaos.invariants.table import INVARIANTS
from chaos.invariants.verdict import Verdict, verdict
from chaos.scenarios.table import SCENARIOS
from chaos.source import source_state
from tests.unit.chaos.a_result import a_result

FAST = {1, 2, 4, 6, 7, 13, 14, 15, 17, 21, 27, 28, 29, 32, 36}
DOUBLED = {"I2": verdict(["doubled"])}


def test_the_fast_set_is_that_of_the_list() -> None:
    assert {number for number, scenario in SCENARIOS.items() if scenario.is_fast} == FAST


def test_a_result_passes_when_all_holds_and_it_came_to_its_end() -> None:
    assert a_result().passed
    assert not a_result(verdicts={"I2": verdict(["a call has 2 effects"])}).passed
    assert not a_result(trouble="the relay did not come up").passed


def test_a_result_can_be_repeated_by_the_command_it_names(tmp_path: Path) -> None:
    results.write(a_result(), servers={"redis": "7.0"}, source=results.source_now(), where=tmp_path)
    [found] = results.read(tmp_path)
    assert found["command"] == "alexandria-chaos run --broker redis --scenario 13 --seed 7 --fast"
    assert (found["passed"], found["seed"], found["servers"]) == (True, 7, {"redis": "7.0"})
    assert len(found["commit"]) == 40


def test_a_commit_that_git_does_not_tell_is_unknown_and_never_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert source_state("app") == {"commit": "unknown", "clean": False}


def test_the_matrix_shows_what_holds_and_what_does_not(tmp_path: Path) -> None:
    directory = tmp_path / "results"
    results.write(a_result(), servers={"redis": "7.0"}, source=results.source_now(), where=directory)
    results.write(
        a_result(broker="rabbitmq", verdicts=DOUBLED),
        servers={"rabbitmq": "3.10"},
        source=results.source_now(),
        where=directory,
    )
    page = tmp_path / "README.md"
    page.write_text(f"before\n{matrix.BEGIN}{matrix.END}after\n")

    for _ in range(2):
        matrix.write(directory, page)

    text = page.read_text()
    rows = {line.split(" | ")[2]: line for line in text.splitlines() if line.startswith("| 13")}
    assert rows["redis"].count("●") == 2
    assert "✗" not in rows["redis"]
    assert (rows["rabbitmq"].count("●"), rows["rabbitmq"].count("✗")) == (2, 1)
    assert "| 3.2 |" in rows["redis"]
    assert "1 of 2 passed" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert (directory / "13-redis.svg").exists()


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ({"median_seconds": 0.41, "max_seconds": 6.83, "slowest": 6.83}, "0.4 / 6.8"),
        ({"slowest": 6.83}, "6.8"),  # as results had it before
        ({"median_seconds": None, "max_seconds": None}, ""),
    ],
)
def test_the_workers_times_to_consume_are_shown_by_median_and_max(
    numbers: dict[str, float | None], shown: str, tmp_path: Path
) -> None:
    results.write(
        a_result(verdicts={"I10": Verdict(numbers=numbers)}), servers={}, source=results.source_now(), where=tmp_path
    )
    head, _, row, *_ = matrix.table(results.read(tmp_path), where=Path()).splitlines()
    cells = dict(zip(head.split("|"), row.split("|"), strict=True))
    assert cells[" consuming median / max "].strip() == shown
    assert cells[" backlog gone "].strip() == "3.2"


@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (Verdict(numbers={"healthy_p95": 0.010, "broken_p95": 0.013}), "● 1.30"),
        (Verdict(breaches=("slow",), numbers={"healthy_p95": 0.010, "broken_p95": 0.030}), "✗ 3.00"),
        (Verdict(breaches=("too few writes to tell",), numbers={"healthy_p95": None, "broken_p95": None}), "✗"),
    ],
)
def test_the_times_of_writes_are_shown_by_their_ratio(verdict: Verdict, shown: str, tmp_path: Path) -> None:
    results.write(a_result(verdicts={"I7": verdict}), servers={}, source=results.source_now(), where=tmp_path)
    head, _, row, *_ = matrix.table(results.read(tmp_path), where=Path()).splitlines()
    assert dict(zip(head.split("|"), row.split("|"), strict=True))[" I7 "].strip() == shown


def test_the_page_says_what_is_asked_of_each_scenario_and_under_which_settings(tmp_path: Path) -> None:
    tried = {"MAX_DELIVERIES": "3"}
    for scenario, broker, load, own in (
        (13, "rabbitmq", "some", {}),
        (13, "redis", "some", {}),
        (14, "redis", "some", {}),
        (19, "rabbitmq", "some", {"RELAY_LOST_AFTER_SECONDS": "5"}),
        (19, "redis", "more", {"RELAY_LOST_AFTER_SECONDS": "5"}),
    ):
        result = a_result(scenario=scenario, broker=broker, load=load, environment={**tried, **own})
        results.write(result, servers={}, source=results.source_now(), where=tmp_path)
    text = matrix.table(results.read(tmp_path), where=Path())
    rows = {number: f"| {number} | {SCENARIOS[number].bound} | " for number in (13, 19)}
    assert rows[13] + "some |  |\n" in text
    assert rows[19] + "some or more | `RELAY_LOST_AFTER_SECONDS=5` |\n" in text
    assert "none of its own: `MAX_DELIVERIES=3`; else" in text


def test_the_page_has_the_settings_of_results_that_do_not_tell_them(tmp_path: Path) -> None:
    results.write(a_result(), servers={}, source=results.source_now(), where=tmp_path)
    assert "none of its own: `LOG_LEVEL=WARNING`, " in matrix.table(results.read(tmp_path), where=Path())


def test_the_summary_has_a_line_for_each_scenario_and_what_did_not_hold(tmp_path: Path) -> None:
    results.write(a_result(), servers={}, source=results.source_now(), where=tmp_path)
    results.write(
        a_result(broker="rabbitmq", verdicts=DOUBLED), servers={}, source=results.source_now(), where=tmp_path
    )
    only_redis = a_result(scenario=20, trouble="the relay did not come up")
    results.write(only_redis, servers={}, source=results.source_now(), where=tmp_path)

    head, worker_killed, failed_over, _, passed, *_ = matrix.summary(results.read(tmp_path)).splitlines()

    assert head.split() == ["redis", "rabbitmq"]
    assert worker_killed.split() == ["13", "worker", "killed", "ok", "3.2", "s", "FAILED", "I2"]
    assert failed_over.split()[-3:] == ["FAILED", "not", "ended"]  # and nothing of a broker that it is not for
    assert passed == "1 of 3 passed."


def test_a_result_that_is_missing_is_named_in_the_summary(tmp_path: Path) -> None:
    results.write(a_result(), servers={}, source=results.source_now(), where=tmp_path)
    assert matrix.summary(results.read(tmp_path)).splitlines()[1].endswith("not run")


def test_the_soak_is_run_only_when_it_is_asked_for() -> None:
    assert [number for number, scenario in SCENARIOS.items() if scenario.is_apart] == [34]


def test_the_plot_is_xml_with_a_line_for_each_count(tmp_path: Path) -> None:
    results.write(a_result(), servers={}, source=results.source_now(), where=tmp_path)
    [found] = results.read(tmp_path)
    root = ET.fromstring(plot.svg(found))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]


def test_every_invariant_of_every_scenario_is_known() -> None:
    for scenario in SCENARIOS.values():
        assert set(scenario.invariants) <= set(INVARIANTS)
        assert {"I1", "I2", "I9", "I14", "bound"} <= set(scenario.invariants)


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["run", "--scenario", "99"])
    assert ended.value.code == 2
    assert "there are the scenarios 1, 2" in capsys.readouterr().err
