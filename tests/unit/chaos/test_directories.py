"""A directory goes with its owner, however that ends, and never before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from chaos.directories import DirectoriesOfAProcess

OWNER = """
import signal, sys
from pathlib import Path
from chaos.directories import DirectoriesOfAProcess
directories = DirectoriesOfAProcess(Path(sys.argv[1]))
for name in ("redis", "stack"):
    directory = directories.make(name)
    (directory / "data").mkdir()
    print(directory, flush=True)
signal.pause()
"""
FORK = """
import os, signal, sys
from pathlib import Path
from chaos.directories import DirectoriesOfAProcess
directories = DirectoriesOfAProcess(Path(sys.argv[1]))
directories.make("parent")
child = os.fork()
if child == 0:
    print(os.getpid(), directories.make("child"), flush=True)
    signal.pause()
os.waitpid(child, 0)
"""


@contextmanager
def owner(root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(timeout=10)
    if process.stdout is not None:
        process.stdout.close()


def directories_of(process: subprocess.Popen[str]) -> list[Path]:
    assert process.stdout is not None
    return [Path(process.stdout.readline().strip()) for _ in range(2)]


def test_those_of_a_killed_process_are_removed_by_the_next_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    with owner(tmp_path) as dead, owner(tmp_path) as living:
        of_dead, of_living = directories_of(dead), directories_of(living)
        kill(dead)
        assert all(directory.is_dir() for directory in of_dead)

        own = DirectoriesOfAProcess(tmp_path).make("own")

        assert not any(directory.exists() for directory in of_dead)
        assert all((directory / "data").is_dir() for directory in of_living)
        assert own.is_dir()
    DirectoriesOfAProcess(tmp_path).make("later")
    assert not any(directory.exists() for directory in of_living)
    assert own.is_dir()  # this process lives


def test_processes_that_start_at_once_leave_each_others_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        together = [stack.enter_context(owner(tmp_path)) for _ in range(6)]
        made = [directory for process in together for directory in directories_of(process)]
        assert len(set(made)) == 12
        assert all((directory / "data").is_dir() for directory in made)


def test_what_a_fork_made_stays_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", FORK, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, directory = parent.stdout.readline().split()
    parent.kill()
    parent.wait(timeout=10)
    try:
        DirectoriesOfAProcess(tmp_path).make("next")
        assert Path(directory).is_dir()
    finally:
        os.kill(int(pid), 9)
        parent.stdout.close()


def test_nothing_else_of_that_place_is_touched(tmp_path: Path) -> None:
    others = [tmp_path / "alexandria-redis-of-mine", tmp_path / "alexandria-stack-*-x", tmp_path / "elsewhere"]
    for other in others:
        other.mkdir()
    owners = tmp_path / f"alexandria-owners-{os.getuid()}"
    owners.mkdir()
    (owners / "*").touch()  # no token
    (owners / "0123abcd").touch()  # of somebody dead, without directories

    DirectoriesOfAProcess(tmp_path).make("own")

    assert all(other.is_dir() for other in others)
    assert not (owners / "0123abcd").exists()
