"""A copy of a process: a session of its own, its parent's files closed, its end told as that of a program."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.supervision.run_state import open_lock_file, try_lock
from app.supervision.started_process import Copy
from chaos.polling import poll_until


def outcome(run: Callable[[], object]) -> tuple[int, str]:
    copy = Copy(run, name="copy", death_signal=signal.SIGKILL)
    code = copy.collect()
    said = os.read(copy.output, 65_536).decode()
    copy.close()
    return code, said


def leave(code: object) -> None:
    raise SystemExit(code)


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (lambda: None, 0),
        (lambda: leave(0), 0),
        (lambda: leave(None), 0),
        (lambda: leave(2), 2),
        (lambda: leave("a reason"), 1),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    ],
)
def test_its_exit_code_is_that_of_a_program(run: Callable[[], object], code: int) -> None:
    assert outcome(run)[0] == code


def test_an_unexpected_error_is_written_out_and_ends_it_with_1() -> None:
    code, said = outcome(lambda: 1 // 0)

    assert code == 1
    assert said.endswith("ZeroDivisionError: integer division or modulo by zero\n")


def test_what_it_writes_on_either_stream_comes_out_in_order() -> None:
    def write() -> None:
        sys.stdout.write("one\n")
        sys.stderr.write("two\n")
        sys.stdout.write("three\n")

    assert outcome(write) == (0, "one\ntwo\nthree\n")


def test_it_has_its_own_session_and_name() -> None:
    def tell() -> None:
        sys.stdout.write(f"{os.getsid(0) == os.getpid()} {Path('/proc/self/comm').read_text()}")

    assert outcome(tell) == (0, "True copy\n")


def test_it_does_not_hold_the_locks_of_its_parent(tmp_path: Path) -> None:
    with open_lock_file(tmp_path / "lock") as held:
        assert try_lock(held)
        copy = Copy(signal.pause, name="copy", death_signal=signal.SIGKILL)
        descriptors = Path(f"/proc/{copy.pid}/fd")
        poll_until(
            lambda: not any(file.resolve() == tmp_path / "lock" for file in descriptors.iterdir()),
            within_seconds=5,
            what="its copy of the lock is closed",
        )
    try:
        with open_lock_file(tmp_path / "lock") as again:
            assert try_lock(again)
    finally:
        os.kill(copy.pid, signal.SIGKILL)
        copy.collect()
        copy.close()


def test_it_keeps_the_files_it_was_given() -> None:
    reader, writer = os.pipe()
    copy = Copy(lambda: os.write(writer, b"here"), name="copy", death_signal=signal.SIGKILL, inherited_files=(writer,))

    assert (copy.collect(), os.read(reader, 16)) == (0, b"here")
    for descriptor in (reader, writer):
        os.close(descriptor)
    copy.close()
