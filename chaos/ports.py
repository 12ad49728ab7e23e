"""Ports that nothing else on this machine is going to take."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Below Linux's default range of client ports (32768 and up), so that while a server is down
# no outgoing connection can be given its port.
LOWEST, HIGHEST = 10_000, 25_000  # above: those of `alexandria up`
BLOCK_SIZE = 50
_random = random.SystemRandom()  # two runs with the same test seed must not choose alike


class PortsOfAProcess:
    """Blocks of ports that no other process of this user chooses from, until this one ends.

    Between the choice of a port and the start of its server, and while a server is down, every other
    process finds the port free: so it is the choice that has to be exclusive.
    """

    def __init__(self, directory: Path, *, lowest: int = LOWEST, highest: int = HIGHEST) -> None:
        self._directory = directory
        self._starts = range(lowest, highest, BLOCK_SIZE)
        self._locks: list[int] = []
        self._pid = 0
        self._left: Iterator[int] = iter(())

    def next(self) -> int:
        """A port that this process has not had before. RuntimeError: every block is taken."""
        if self._pid != os.getpid():  # a fork has its parent's locks and its parent's place in the block
            self._pid, self._left = os.getpid(), iter(())
        port = next(self._left, None)
        if port is None:
            self._left = iter(self._new_block())
            port = next(self._left)
        return port

    def _new_block(self) -> range:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for start in _random.sample(self._starts, len(self._starts)):
            lock = os.open(self._directory / str(start), os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                self._locks.append(lock)  # until the process ends
                return range(start, start + BLOCK_SIZE)
        raise RuntimeError(f"no ports are left: all blocks in {self._directory} are locked")


_ports = PortsOfAProcess(Path(tempfile.gettempdir()) / f"alexandria-ports-{os.getuid()}")


def free_port() -> int:
    """A TCP port on the loopback that can be bound now."""
    while True:
        port = _ports.next()
        if port_is_free(port):
            return port


def port_is_free(port: int) -> bool:
    """Whether a server could bind the port on the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def port_answers(port: int, *, timeout_seconds: float = 0.5) -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
