"""The write gate of SQLite: one in at a time, between threads and processes, whoever is killed or forked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from app.database import open_database
from app.errors import TransientError, WriteGateBusy
from app.migrate import upgrade
from app.models.derived import Counter
from app.settings import load_settings
from app.write_gate import WriteGate
from chaos.polling import poll_until
from chaos.stack import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

HOLDER = """
import sys, time
from pathlib import Path
from app.write_gate import WriteGate
gate = WriteGate(Path(sys.argv[1]), timeout_seconds=30)
gate.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "write.lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the gate."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_gate_lets_one_in_at_a_time(lock: Path) -> None:
    gates = [WriteGate(lock, timeout_seconds=30) for _ in range(2)]  # as in two processes: two open files
    inside, most = [], []

    def write(number: int) -> None:
        gate = gates[number % 2]
        file = gate.acquire()
        inside.append(number)
        most.append(len(inside))
        inside.remove(number)
        gate.release(file)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))

    assert len(most) == 200
    assert max(most) == 1


def test_processes_come_in_in_the_order_they_came(lock: Path) -> None:
    gates = [WriteGate(lock, timeout_seconds=30) for _ in range(6)]
    order: list[int] = []

    def write(number: int) -> None:
        file = gates[number].acquire()
        order.append(number)
        gates[number].release(file)

    first = WriteGate(lock, timeout_seconds=30)
    held = first.acquire()
    threads = []
    for number in range(6):
        threads.append(threading.Thread(target=write, args=(number,)))
        threads[-1].start()
        poll_until(lambda: waiting_in_the_kernel(lock) == len(threads), within_seconds=10, what="it is in the queue")
    first.release(held)
    for thread in threads:
        thread.join(10)

    assert order == [0, 1, 2, 3, 4, 5]


def waiting_in_the_kernel(lock: Path) -> int:
    """How many wait for the `flock` of this file, as the kernel lists them."""
    inode = f":{lock.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_who_waits_too_long_for_another_process_is_told_so(lock: Path, holder: subprocess.Popen[str]) -> None:
    gate = WriteGate(lock, timeout_seconds=0.2)
    begun = time.monotonic()

    with pytest.raises(WriteGateBusy) as busy:
        gate.acquire()

    assert 0.2 <= time.monotonic() - begun < 5
    assert isinstance(busy.value, TransientError)
    assert holder.poll() is None


def test_who_waits_too_long_for_another_thread_is_told_so(lock: Path) -> None:
    gate = WriteGate(lock, timeout_seconds=0.2)
    held = gate.acquire()

    with ThreadPoolExecutor(1) as pool, pytest.raises(WriteGateBusy):
        pool.submit(gate.acquire).result(20)

    gate.release(held)
    gate.release(gate.acquire())


def test_one_who_gave_up_waiting_does_not_shut_the_gate_later(lock: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(WriteGateBusy):
        WriteGate(lock, timeout_seconds=0.1).acquire()
    holder.kill()
    holder.wait(10)

    gate = WriteGate(lock, timeout_seconds=10)
    gate.release(gate.acquire())


def test_a_killed_holder_frees_the_gate(lock: Path, holder: subprocess.Popen[str]) -> None:
    gate = WriteGate(lock, timeout_seconds=20)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gate.acquire)
        poll_until(lambda: waiting_in_the_kernel(lock) == 1, within_seconds=10, what="it waits")
        assert not waiting.done()

        os.kill(holder.pid, signal.SIGKILL)

        gate.release(waiting.result(10))


def test_a_write_inside_a_write_is_an_error_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'library.sqlite3'}"
    settings = load_settings(database_url=url)
    upgrade(settings)
    database = open_database(settings)

    def write_within_a_write() -> None:
        with database.writer() as outer:
            outer.add(Counter(name="outer", value=1))
            outer.flush()
            with database.writer() as inner:
                inner.add(Counter(name="inner", value=1))

    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="inside a write transaction"):
        write_within_a_write()

    assert time.monotonic() - begun < 5
    with database.writer() as session:  # and the gate is open again
        assert list(session.scalars(select(Counter.name))) == []
    database.engine.dispose()


def test_a_forked_child_does_not_keep_the_gate_of_its_parent(lock: Path) -> None:
    """The child lives on while the parent writes no more: the gate must be open for others."""
    program = """
import os, sys
from pathlib import Path
from app.write_gate import WriteGate
path = Path(sys.argv[1])
gate = WriteGate(path, timeout_seconds=5)
held = gate.acquire()
ready, told = os.pipe()
if (child := os.fork()) == 0:
    os.write(told, b"x")
    sys.stdin.read()
    os._exit(0)
os.read(ready, 1)
gate.release(held)
other = WriteGate(path, timeout_seconds=5)
other.release(other.acquire())
print("open")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(lock)],
        input="",
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )

    assert done.stdout == "open\n", done.stderr


def test_a_child_forked_inside_a_write_can_write_once_its_parent_has(lock: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from app.write_gate import WriteGate
gate = WriteGate(Path(sys.argv[1]), timeout_seconds=10)
held = gate.acquire()
if (child := os.fork()) == 0:
    gate.release(gate.acquire())
    os._exit(7)
gate.release(held)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(lock)], capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
    )

    assert done.stdout == "7\n", done.stderr
