"""Ports that nothing else on this machine is going to take."""

from __future__ import annotations

import random
import socket

# Below Linux's default range of client ports (32768 and up), so that while a server is down
# no outgoing connection can be given its port.
LOWEST, HIGHEST = 10_000, 32_000
_random = random.SystemRandom()  # two runs with the same test seed must not choose alike


def free_port() -> int:
    """A TCP port on the loopback that can be bound now."""
    while True:
        port = _random.randint(LOWEST, HIGHEST)
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
