"""The stack of real processes comes up, goes down, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaos.polling import poll_until
from chaos.processes import ProcessFailed
from chaos.stack import EVERYTHING, Stack

pytestmark = pytest.mark.integration

FAST = {"EMBEDDING_ENGINE": "hashing"}
NEXT = "from chaos.directories import new_directory; new_directory('next').rmdir()"
NAMES = ("api", "relay", "worker", "ml-worker", "beat")
OWNER = """
import signal, sys
from chaos.stack import Stack
stack = Stack(
    database_url=sys.argv[1], broker_url=sys.argv[2], cache_url=sys.argv[3], processes=("relay", "worker", "beat")
)
stack.start()
print(stack.directory, flush=True)
signal.pause()
"""


@pytest.fixture
def stack(postgres_url: str, redis_url: str, cache_url: str) -> Iterator[Stack]:
    with Stack(database_url=postgres_url, broker_url=redis_url, cache_url=cache_url, environment=FAST) as started:
        yield started


def test_every_process_is_up_and_ends_by_itself_when_asked(stack: Stack) -> None:
    assert [name for name, process in stack.processes.items() if process.running] == list(NAMES)
    assert stack.readiness()["ready"] is True
    stack.stop()
    ended = {name: process.exit_code for name, process in stack.processes.items()}
    assert {name: code in {0, -signal.SIGTERM} for name, code in ended.items()} == dict.fromkeys(NAMES, True), ended


def test_everything_under_one_parent_is_up_and_ends_with_it(postgres_url: str, redis_url: str, cache_url: str) -> None:
    with Stack(
        database_url=postgres_url,
        broker_url=redis_url,
        cache_url=cache_url,
        environment=FAST,
        processes=(EVERYTHING,),
    ) as stack:
        family = psutil.Process(stack.processes[EVERYTHING].pid).children(recursive=True)
        parts = stack.readiness()["parts"]
        assert all(parts[name]["ok"] for name in ("database", "broker", "cache", "relay", "workers"))
        assert len(family) >= len(NAMES)
        stack.stop()
        assert stack.processes[EVERYTHING].exit_code == 0
        assert not any(map(is_alive, family))


def test_a_killed_worker_leaves_no_child_and_comes_back_to_its_queues(stack: Stack) -> None:
    first = stack.worker.pid
    children = psutil.Process(first).children(recursive=True)
    assert children
    stack.worker.kill_alone()
    poll_until(lambda: not any(map(is_alive, children)), within_seconds=10, what=f"no child of it is left: {children}")
    stack.worker.restart()
    assert stack.worker.running
    assert stack.worker.pid != first
    children = psutil.Process(stack.worker.pid).children(recursive=True)
    stack.worker.kill()
    assert not any(map(is_alive, children))


def test_killing_the_owner_ends_the_stack(postgres_url: str, redis_url: str, cache_url: str) -> None:
    command = [sys.executable, "-c", OWNER, postgres_url, redis_url, cache_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory = owner.stdout.readline().strip()
        family = psutil.Process(owner.pid).children(recursive=True)
        owner.kill()
    assert len(family) >= 3
    poll_until(lambda: not any(map(is_alive, family)), within_seconds=15, what=f"nothing is left of {family}")
    assert Path(directory).is_dir()
    subprocess.run([sys.executable, "-c", NEXT], check=True)
    assert not Path(directory).exists()


def test_a_stack_that_cannot_start_says_why(redis_url: str, cache_url: str) -> None:
    unreachable = "postgresql://nobody:nothing@127.0.0.1:9/none"
    stack = Stack(database_url=unreachable, broker_url=redis_url, cache_url=cache_url)
    with pytest.raises(ProcessFailed, match=r"(?s)^db failed \(exit code [1-9]\d*\).*127\.0\.0\.1"):
        stack.__enter__()
    assert not stack.directory.exists()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
