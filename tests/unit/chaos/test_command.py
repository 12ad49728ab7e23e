"""`alexandria-chaos`: what it does before and around the scenarios."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from chaos import candidate, command, results
from chaos.polling import poll_until
from chaos.results import RESULTS
from chaos.scenarios.table import SCENARIOS
from chaos.stack import ROOT
from tests.unit.chaos.a_result import a_result


def test_a_run_that_dies_leaves_no_older_result_of_what_it_was_to_run(tmp_path: Path) -> None:
    old = results.write(a_result(scenario=1), servers={}, source=results.source_now(), where=tmp_path)
    for ending in (".log", ".svg"):
        old.with_suffix(ending).write_text("of an earlier run")
    others = [
        results.write(a_result(scenario=1, broker="rabbitmq"), servers={}, source=results.source_now(), where=tmp_path),
        results.write(a_result(scenario=13), servers={}, source=results.source_now(), where=tmp_path),
    ]

    arguments = ("--scenario", "1", "--broker", "redis", "--results", str(tmp_path))
    running = subprocess.Popen(
        [sys.executable, "-m", "chaos", "run", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        poll_until(lambda: not old.exists(), within_seconds=30, what="the older result is gone")
    finally:
        running.kill()
        running.wait(timeout=10)

    assert set(tmp_path.iterdir()) == set(others)


def test_a_scenario_that_is_not_for_the_broker_is_not_called_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "--scenario", "20", "--broker", "rabbitmq", "--results", str(tmp_path)]) == 0
    assert "nothing was run" in capsys.readouterr().out


def test_a_report_of_other_results_is_a_page_beside_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(
        a_result(given="redis://127.0.0.1:6379/0"),
        servers={"given redis": "8.2.1"},
        source=results.source_now(),
        where=tmp_path,
    )
    project = RESULTS.parent / "README.md"
    before = project.read_text()

    for _ in range(2):
        assert command.main(["report", "--results", str(tmp_path)]) == 0

    page = tmp_path / "matrix.md"
    assert str(page) in capsys.readouterr().out
    assert "[plot](13-redis.svg)" in page.read_text()
    assert "on redis://127.0.0.1:6379/0" in page.read_text()
    assert page.read_text().count("given redis 8.2.1") == 1
    assert project.read_text() == before

    other = tmp_path / "elsewhere" / "page.md"
    other.parent.mkdir()
    assert command.main(["report", "--results", str(tmp_path), "--page", str(other)]) == 0
    assert "[plot](../13-redis.svg)" in other.read_text()


def test_a_report_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["report", "--results", str(tmp_path / "nothing")]) == 2
    assert "there are no results in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_only_a_run_of_the_suites_own_goes_into_its_own_matrix() -> None:
    assert command.where_results_go(None, is_of_operator=False) == RESULTS
    assert not command.where_results_go(None, is_of_operator=True).is_relative_to(RESULTS.parent)
    assert command.where_results_go(Path("there"), is_of_operator=True) == Path("there")


def test_what_repeats_a_run_elsewhere_says_twice_that_it_is_meant() -> None:
    there = a_result(given="redis://broker.example:6379/0", is_beyond_loopback=True)
    assert there.command == (
        "alexandria-chaos run --broker-url redis://broker.example:6379/0 --beyond-loopback --beyond-loopback"
        " --scenario 13 --seed 7 --fast"
    )


def test_what_repeats_a_run_of_other_settings_names_them() -> None:
    tried = a_result(settings={"MAX_DELIVERIES": "3", "API_ALLOWED_HOSTS": "a b"})
    assert tried.command.endswith(" --seed 7 --fast --set MAX_DELIVERIES=3 --set 'API_ALLOWED_HOSTS=a b'")


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("MAX_DELIVERIES", "it is NAME=VALUE"),
        ("max_deliveries=3", "there is no setting max_deliveries"),
        ("MAX_DELIVERY=3", "there is no setting MAX_DELIVERY"),
        ("MAX_DELIVERIES=none", "--set: MAX_DELIVERIES: "),
        ("DATABASE_URL=sqlite:///here", "the suite itself decides DATABASE_URL"),
    ],
)
def test_a_setting_that_cannot_be_tried_is_refused_in_one_line(
    assignment: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "--scenario", "1", "--set", assignment]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_what_the_suite_decides_are_settings_and_no_secret_can_get_into_the_results() -> None:
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    secrets = {name for name, field in fields.items() if "SecretStr" in str(field.annotation)}
    assert "DATABASE_URL" in secrets
    assert secrets <= candidate.OF_THE_SUITE <= set(fields)


def test_it_is_said_which_scenarios_keep_a_value_of_their_own() -> None:
    settings = candidate.settings_of(["RELAY_LOST_AFTER_SECONDS=90", "MAX_DELIVERIES=3"])
    assert candidate.kept_by_scenarios(settings, [SCENARIOS[1], SCENARIOS[18]]) == [
        f"scenario 18 keeps its own RELAY_LOST_AFTER_SECONDS={SCENARIOS[18].environment['RELAY_LOST_AFTER_SECONDS']}"
    ]


@pytest.mark.parametrize(
    ("in_ci", "arguments"),
    [("", ("--scenario", "2")), ("", ("--scenario", "2", "--scenario", "13")), ("true", ("--fast",)), ("true", ())],
)
def test_without_toxiproxy_ci_and_whoever_names_what_needs_it_are_refused(
    in_ci: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TOXIPROXY_BIN", str(tmp_path / "nothing"))
    monkeypatch.setenv("CI", in_ci)
    assert command.main(["run", *arguments, "--results", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "setup/toxiproxy.sh" in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize("fast", [(), ("--fast",)])
def test_a_laptop_without_toxiproxy_runs_what_only_kills_processes(fast: tuple[str, ...], tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "chaos", "run", *fast, "--broker", "redis", "--results", str(tmp_path)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "CI"}
        | {"TOXIPROXY_BIN": str(tmp_path / "nothing")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        assert running.stdout is not None
        said = running.stderr.readline()
        assert running.stdout.readline().startswith("seed ")  # and it begins
    finally:
        running.kill()
        running.communicate(timeout=10)

    expected = [str(one.number) for one in SCENARIOS.values() if one.is_fast or not (fast or one.is_apart)]
    possible = [number for number in expected if not SCENARIOS[int(number)].breaks_lines]
    assert {"13", "17"} <= set(possible) < set(expected)
    assert said.endswith(f"setup/toxiproxy.sh builds one; only what needs none is run: {', '.join(possible)}\n")


def test_what_leaves_few_seconds_over_shares_the_processors_only_in_the_fast_set() -> None:
    alone = {number for number, one in SCENARIOS.items() if one.runs_alone(is_fast=False)}
    alone_when_fast = {number for number, one in SCENARIOS.items() if one.runs_alone(is_fast=True)}

    assert alone - alone_when_fast == {13, 14, 15, 16, 17, 28, 30, 34}
    assert alone_when_fast == {29} | {number for number, one in SCENARIOS.items() if "I7" in one.also}
