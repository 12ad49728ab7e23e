"""`alexandria-chaos`: what it does before and around the scenarios."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos import command, results
from chaos.polling import poll_until
from chaos.stack import ROOT
from tests.unit.chaos.a_result import a_result


def test_a_run_that_dies_leaves_no_older_result_of_what_it_was_to_run(tmp_path: Path) -> None:
    old = results.write(a_result(scenario=1), servers={}, where=tmp_path)
    for ending in (".log", ".svg"):
        old.with_suffix(ending).write_text("of an earlier run")
    others = [
        results.write(a_result(scenario=1, broker="rabbitmq"), servers={}, where=tmp_path),
        results.write(a_result(scenario=13), servers={}, where=tmp_path),
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
