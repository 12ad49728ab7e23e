"""A copy of a warm process is like a fresh start of the same command, but for the time it takes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaos import warm_start
from chaos.polling import poll_until
from chaos.processes import OwnedProcess
from tests.command_line import run_module

ROOT = Path(__file__).resolve().parents[3]
ABOUT_ITSELF = "tests.unit.chaos.about_itself"


@pytest.fixture
def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "OF_THIS_TEST": "only"}


@pytest.fixture
def process(tmp_path: Path, environment: dict[str, str]) -> Iterator[OwnedProcess]:
    one = made(tmp_path, environment)
    yield one
    one.kill()


def made(tmp_path: Path, environment: dict[str, str], *arguments: str) -> OwnedProcess:
    return OwnedProcess(
        "sample",
        [sys.executable, "-m", ABOUT_ITSELF, *arguments],
        log=tmp_path / "sample.log",
        environment=environment,
        directory=ROOT,
    )


def told(process: OwnedProcess) -> dict[str, object]:
    process.start()
    poll_until(lambda: "}}" in process.log_tail(), within_seconds=20, what="it says what it is")
    answer: dict[str, object] = json.loads(process.log_tail())
    return answer


def test_it_is_what_a_fresh_start_would_be(tmp_path: Path, process: OwnedProcess, environment: dict[str, str]) -> None:
    copy = told(process)
    fresh_process = made(tmp_path, {**environment, "PYTHONDONTWRITEBYTECODE": "1"})
    process.log.rename(tmp_path / "copy.log")
    fresh = told(fresh_process)

    assert "chaos.warm_start" in psutil.Process(process.pid).cmdline()
    assert "chaos.warm_start" not in psutil.Process().cmdline()
    assert fresh["pid"] == fresh_process.pid
    assert copy["environment"] == environment
    assert copy["pid"] == process.pid
    for name in ("arguments", "command", "directory", "name", "parent", "is_leader", "descriptors", "signals"):
        assert copy[name] == fresh[name], name
    fresh_process.kill()


def test_its_exit_code_is_known_to_who_started_it(tmp_path: Path, environment: dict[str, str]) -> None:
    process = made(tmp_path, environment, "3")
    process.start()
    assert process.log.exists()
    poll_until(lambda: not process.running, within_seconds=20, what="it ended")
    assert process.exit_code == 3


def test_a_command_that_is_a_copy_is_read_like_any_other(environment: dict[str, str]) -> None:
    copy = run_module(ABOUT_ITSELF, "3", environment=environment)
    fresh = run_module(ABOUT_ITSELF, "3", environment={**environment, "PYTHONDONTWRITEBYTECODE": "1"})

    for done in (copy, fresh):
        assert (done.returncode, done.stderr) == (3, "an error")
    told_by_copy, told_by_fresh = json.loads(copy.stdout), json.loads(fresh.stdout)
    assert told_by_copy["environment"] == environment
    assert (told_by_copy["arguments"], told_by_copy["name"]) == (told_by_fresh["arguments"], told_by_fresh["name"])


def test_a_signal_ends_it_and_is_its_exit_code(process: OwnedProcess) -> None:
    told(process)
    assert process.terminate() == -signal.SIGTERM
    assert process.exit_code == -signal.SIGTERM


@pytest.fixture
def measured_restarts(tmp_path: Path) -> Iterator[None]:
    """As chaos runs have it."""
    warm_start.begin(tmp_path / "warm.log", restarts=False)
    yield
    warm_start.begin(tmp_path / "warm.log")  # as the tests have it; what is copied is there by now


@pytest.mark.usefixtures("measured_restarts")
def test_where_restarts_are_measured_only_the_first_start_is_a_copy(process: OwnedProcess) -> None:
    told(process)
    first = psutil.Process(process.pid).cmdline()
    process.kill()
    process.log.unlink()
    told(process)

    assert "chaos.warm_start" in first
    assert "chaos.warm_start" not in psutil.Process(process.pid).cmdline()


def test_neither_a_copy_nor_its_original_outlives_who_started_them(tmp_path: Path, environment: dict[str, str]) -> None:
    owner = os.fork()
    if owner == 0:
        warm_start.forget()  # that of the test is not ours to talk to
        warm_start.begin(tmp_path / "warm.log")
        told(made(tmp_path, environment))
        children = [child.pid for child in psutil.Process().children()]  # the copy, and what it was copied from
        (tmp_path / "children.json").write_text(json.dumps(children))
        os._exit(0)
    os.waitpid(owner, 0)
    children = json.loads((tmp_path / "children.json").read_text())
    assert len(children) == 2
    poll_until(lambda: all(map(_is_gone, children)), within_seconds=10, what="both ended too")


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(
    ("command", "more", "directory"),
    [
        (["/bin/true"], {}, ROOT),
        ([sys.executable, "-c", "pass"], {}, ROOT),
        ([sys.executable, "-m", ABOUT_ITSELF], {}, Path("/")),
        ([sys.executable, "-m", ABOUT_ITSELF], {"PYTHONPATH": "/"}, ROOT),
        ([sys.executable, "-m", ABOUT_ITSELF], {"PYTHONASYNCIODEBUG": "1"}, ROOT),
    ],
)
def test_what_a_copy_could_not_be_is_started_afresh(command: list[str], more: dict[str, str], directory: Path) -> None:
    assert warm_start.parent_for(command, environment=more, directory=directory) is None
