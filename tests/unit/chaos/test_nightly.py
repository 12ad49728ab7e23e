"""Every night all of the list is run: what is a scenario, and what is not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "chaos.yml").read_text())["jobs"]


def runs(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def expanded(orders: list[str]) -> str:
    """What these orders to make come down to."""
    targets = [order.removeprefix("make ") for order in orders if order.startswith("make ")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--always-make", *targets]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_scenarios_and_soak_are_run_on_both_brokers_and_the_mutations_once() -> None:
    assert JOBS["chaos"]["strategy"]["matrix"] == {"broker": ["redis", "rabbitmq"]}
    of_broker = "BROKER=${{ matrix.broker }}"
    assert {f"make chaos {of_broker}", f"make chaos-soak {of_broker}", "make chaos-mutations"} <= set(runs("chaos"))


def test_what_is_no_scenario_is_run_too() -> None:
    said = expanded(runs("elsewhere"))
    assert "-m bench.stock" in said
    assert "tests/e2e/faults/test_embedded_kills.py" in said


def test_a_step_that_fails_hides_none_after_it() -> None:
    for job in ("chaos", "elsewhere"):
        makes = [step for step in JOBS[job]["steps"] if step.get("run", "").startswith("make ")]
        assert all("!cancelled()" in step["if"] for step in makes[1:])


def test_what_was_found_is_uploaded_whatever_became_of_it() -> None:
    for job, path in (("chaos", "chaos/README.md\nchaos/results\n"), ("candidates", "test-results/chaos-given")):
        [upload] = [step for step in JOBS[job]["steps"] if "upload-artifact" in step.get("uses", "")]
        assert (upload["if"], upload["with"]["path"]) == ("always()", path)
