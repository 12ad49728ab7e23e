"""A port is given once, to one process, until that process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.ports import BLOCK_SIZE, HIGHEST, LOWEST, PortsOfAProcess

FORK = """
import os, sys
from pathlib import Path
from chaos.ports import PortsOfAProcess
ports = PortsOfAProcess(Path(sys.argv[1]))
print(ports.next(), flush=True)
if os.fork() == 0:
    print(ports.next(), flush=True)
    os._exit(0)
os.wait()
"""


def test_two_processes_never_choose_the_same_port(tmp_path: Path) -> None:
    one, other = PortsOfAProcess(tmp_path), PortsOfAProcess(tmp_path)
    chosen = [process.next() for _ in range(3 * BLOCK_SIZE) for process in (one, other)]
    assert len(set(chosen)) == 6 * BLOCK_SIZE
    assert all(LOWEST <= port < HIGHEST for port in chosen)


def test_a_fork_does_not_go_on_in_the_block_of_its_parent(tmp_path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], capture_output=True, text=True, check=True)
    of_parent, of_child = map(int, said.stdout.split())
    assert (of_parent - LOWEST) // BLOCK_SIZE != (of_child - LOWEST) // BLOCK_SIZE


def test_when_every_block_is_taken_it_says_so(tmp_path: Path) -> None:
    one, other = (PortsOfAProcess(tmp_path, lowest=LOWEST, highest=LOWEST + BLOCK_SIZE) for _ in range(2))
    one.next()
    with pytest.raises(RuntimeError, match="no ports are left"):
        other.next()
