"""What a process holds on one broker: its owner, messages not handed over yet, and the pulse that keeps them."""

from __future__ import annotations

import atexit
import os
from collections import deque
from threading import Lock
from typing import Any, Protocol

from billiard.util import register_after_fork
from celery.signals import worker_shutdown

from app.transports.lease.owner import Owner
from app.transports.lease.pulse import Pulse, wires_of


class Opener(Protocol):
    """A channel, as far as a holding needs one."""

    connection: Any
    max_deliveries: int

    def new_pool(self) -> Any:
        """Connections to the same server."""


class Holding:
    """One a process and broker. It survives channels and connections.

    `undelivered`: queue, tag, message of what was claimed and is not handed over yet.
    """

    def __init__(self) -> None:
        self.owner = Owner()
        self.undelivered: deque[tuple[str, str, bytes]] = deque()
        self._pulse: Pulse | None = None
        self._lock = Lock()

    def may_claim(self, channel: Opener, *, within_seconds: float) -> bool:
        """Whether the process is seen to live; starts the pulse that shows it, once, and waits for it so long."""
        with self._lock:
            if self._pulse is None:
                new_wire = wires_of(channel.new_pool())
                self._pulse = Pulse(self.owner, new_wire, max_deliveries=channel.max_deliveries)
                register_after_fork(self._pulse, Pulse.leave_to_parent)
                self._pulse.start()
        return self._pulse.is_seen.wait(within_seconds)

    @property
    def falters(self) -> bool:
        """Whether its leases cannot be renewed now, so that it had better take nothing."""
        return self._pulse is not None and self._pulse.falters

    def end(self) -> None:
        """Give everything back and stop."""
        if self._pulse is not None:
            self._pulse.stop()


_holdings: dict[tuple[Any, ...], Holding] = {}


def holding_of(channel: Opener) -> Holding:
    """The holding of this process on the broker of a channel."""
    client = channel.connection.client
    place = (os.getpid(), client.hostname, client.port, client.virtual_host)
    if place not in _holdings:
        _holdings[place] = Holding()
    return _holdings[place]


def holdings() -> list[Holding]:
    """All of this process."""
    return [holding for (pid, *_), holding in tuple(_holdings.items()) if pid == os.getpid()]


def _end_all(**_: object) -> None:
    for holding in holdings():
        holding.end()


worker_shutdown.connect(_end_all, weak=False)
atexit.register(_end_all)
