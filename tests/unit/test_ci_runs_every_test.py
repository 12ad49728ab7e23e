"""No test is left out of CI: what `.ci/run` and the workflows make, makes pytest collect every file of tests."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHAT_CI_RUNS = (ROOT / ".ci" / "run", *sorted((ROOT / ".github" / "workflows").glob("*.yml")))
TEST_FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))


@cache
def arguments_of_pytest() -> tuple[tuple[str, ...], ...]:
    """Of each time that CI runs pytest, as make expands them."""
    orders = re.compile(r"^[^#\n]*\b(?:step|run:) +make +([a-z-]+)|^make +([a-z-]+)", re.MULTILINE)
    targets = {first or second for file in WHAT_CI_RUNS for first, second in orders.findall(file.read_text())}
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", *sorted(targets)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    runs = re.findall(r" -m pytest ([^;\n]*)", said.stdout.replace("\\\n", " "))
    return tuple(tuple(run.split()) for run in runs)


def is_run(file: str, arguments: tuple[str, ...]) -> bool:
    def holds(folder: str) -> bool:
        return f"{file}/".startswith(f"{folder}/")

    ignored = [word.removeprefix("--ignore=") for word in arguments if word.startswith("--ignore=")]
    return any(map(holds, arguments)) and not any(map(holds, ignored))


def test_every_file_of_tests_is_run_by_something_in_ci() -> None:
    assert len(TEST_FILES) > 200
    assert [file for file in TEST_FILES if not any(is_run(file, run) for run in arguments_of_pytest())] == []


def test_no_run_of_ci_chooses_among_the_tests_of_a_file() -> None:
    choosing = re.compile(r"-k|-m|--deselect|--ignore-glob|--last-failed|--lf|--maxfail=.*|.*::.*")
    assert [word for run in arguments_of_pytest() for word in run if choosing.fullmatch(word)] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--ignore=tests/unit/chaos", "tests/unit"), False),
        (("--ignore=tests/unit/cha", "tests/unit"), True),
        (("tests/unit/chaos/test_ports.py",), True),
        (("tests/e2e",), False),
    ],
)
def test_a_file_is_run_where_it_is_named_and_not_left_out(arguments: tuple[str, ...], expected: bool) -> None:
    assert is_run("tests/unit/chaos/test_ports.py", arguments) is expected
