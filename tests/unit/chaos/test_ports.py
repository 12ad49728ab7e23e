"""A port is given once, to one process, until that process ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import ports
from chaos.ports import BLOCK_SIZE, PortsOfAProcess


def test_two_processes_never_choose_the_same_port(tmp_path: Path) -> None:
    one, other = PortsOfAProcess(tmp_path), PortsOfAProcess(tmp_path)
    chosen = [process.next() for _ in range(3 * BLOCK_SIZE) for process in (one, other)]
    assert len(set(chosen)) == 6 * BLOCK_SIZE
    assert all(ports.LOWEST <= port < ports.HIGHEST for port in chosen)


def test_a_fork_does_not_go_on_in_the_block_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = PortsOfAProcess(tmp_path)
    of_parent = parent.next()
    monkeypatch.setattr("chaos.ports.os.getpid", lambda: -1)
    assert parent.next() // BLOCK_SIZE != of_parent // BLOCK_SIZE


def test_when_every_block_is_taken_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "HIGHEST", ports.LOWEST + BLOCK_SIZE)
    PortsOfAProcess(tmp_path).next()
    PortsOfAProcess(tmp_path)
    with pytest.raises(RuntimeError, match="no ports are left"):
        PortsOfAProcess(tmp_path).next()
