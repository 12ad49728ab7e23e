"""A process of the stack obeys, and says why when it does not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import HarnessError, OwnedProcess, ProcessFailed
from chaos.stack_process import StackProcess

READY = "import signal; print('ready', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
BREAKS = "print('the reason', flush=True); raise SystemExit(3)"
PARENT = (
    "import subprocess, sys, signal; child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
    " start_new_session=True); print('ready', flush=True); signal.pause()"
)
Make = Callable[[str], StackProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[OwnedProcess] = []

    def one(program: str) -> StackProcess:
        process = OwnedProcess(
            "sample", [sys.executable, "-c", program], log=tmp_path / "sample.log", environment=dict(os.environ)
        )
        made.append(process)
        return StackProcess(process, is_up=lambda _seconds: "ready" in process.log_tail(), up_within_seconds=10)

    yield one
    for process in made:
        process.kill()


def started(process: StackProcess) -> StackProcess:
    process.start()
    process.wait_until_up()
    return process


def test_a_kill_takes_the_children_in_sessions_of_their_own_too(make: Make) -> None:
    process = started(make(PARENT))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 1
    process.kill()
    assert process.exit_code == -signal.SIGKILL
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)


def test_a_paused_process_stands_still_and_goes_on(make: Make) -> None:
    process = started(make(READY))
    process.pause()
    assert psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    process.resume()
    poll_until(
        lambda: psutil.Process(process.pid).status() == psutil.STATUS_SLEEPING, within_seconds=5, what="it goes on"
    )


def test_a_paused_process_can_be_ended_cleanly(make: Make) -> None:
    process = started(make(READY))
    process.pause()
    assert process.terminate(within_seconds=5) == -signal.SIGTERM


def test_a_restart_is_another_process_with_the_same_log(make: Make) -> None:
    process = started(make(READY))
    first = process.pid
    process.restart()
    assert process.pid != first
    poll_until(lambda: process.log.read_text().count("ready") == 2, within_seconds=5, what="both starts are in the log")


def test_one_that_ends_by_itself_is_reported_with_its_last_lines(make: Make) -> None:
    process = make(BREAKS)
    process.start()
    with pytest.raises(ProcessFailed, match=r"(?s)sample ended by itself \(exit code 3\).*the reason"):
        process.wait_until_up()


def test_one_that_does_not_end_is_killed_and_reported(make: Make) -> None:
    process = started(make(DEAF))
    with pytest.raises(ProcessFailed, match=r"did not end within 0\.2 s of SIGTERM"):
        process.terminate(within_seconds=0.2)
    assert not process.running


def test_a_second_start_is_refused(make: Make) -> None:
    process = started(make(READY))
    with pytest.raises(HarnessError, match="already running"):
        process.start()


def test_a_missed_deadline_says_what_was_waited_for() -> None:
    with pytest.raises(DeadlineMissed, match=r"not within 0\.05 s: the moon \(last answer: None\)"):
        poll_until(lambda: None, within_seconds=0.05, what="the moon")
