"""The pulse of an owner: a thread that shows it lives, renews its leases, and tells what the claims do not carry.

A thread with connections of its own, because the process may be busy in a task (solo) or with a silent peer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import redis
import structlog

from app.transports.lease.owner import Owner, told
from app.transports.lease.scripts import GIVE_BACK_CLAIMS, RENEW, RETIRE, SETTLE, SWEEP
from app.transports.lease.sweep import (
    DOUBT_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    SWEEP_SECONDS,
    sweep_arguments,
    swept,
)
from app.transports.lease.wire import Wire
from app.transports.tally import LEASE_LOST, MESSAGES_RECOVERED, tally

COMPANY_SECONDS = 0.05
"""A settlement waits so long for a claim to carry it, then goes alone."""
GOODBYE_SECONDS = 2.0
PINGS_UNHEARD = 5

log = structlog.get_logger(__name__)


class Pulse:
    """Begins before the first claim, ends with `stop`. `new_wire` makes a connection that is not open yet.

    `is_seen`: every sweep finds the owner alive. Until then, and while its leases cannot be renewed, it takes nothing:
    opening two connections may take longer than the silence after which it would be taken for dead.
    """

    def __init__(self, owner: Owner, new_wire: Callable[[], Wire], *, max_deliveries: int) -> None:
        self._owner = owner
        self._new_wire = new_wire
        self._sweep_arguments = sweep_arguments(max_deliveries=max_deliveries)
        self._requests, self._listener = new_wire(), new_wire()
        self._unheard = 0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.is_seen = threading.Event()
        self._renew_at = self._sweep_at = self._renewed_at = 0.0
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name="lease-pulse", daemon=True)
        owner.tell = self._wake.set

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    @property
    def falters(self) -> bool:
        """Whether the owner may take nothing, or its last renewal is late: a fault of the server, or of the line."""
        return not self.is_seen.is_set() or monotonic() - self._renewed_at > DOUBT_SECONDS

    def stop(self) -> None:
        """Say that the owner ends: what it holds is given back at once. Quiet the second time."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake.set()
        self._thread.join(GOODBYE_SECONDS)
        with contextlib.suppress(redis.RedisError, OSError), contextlib.closing(self._new_wire()) as wire:
            RETIRE.run(wire.ask, self._owner.id, *told(self._owner.take_untold()))
        self._disconnect()

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the parent's sockets, which would keep it listening after its death."""
        self._disconnect()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(max(0.0, min(self._renew_at, self._sweep_at) - monotonic()))
            if self._wake.is_set():
                self._wake.clear()
                self._stopping.wait(COMPANY_SECONDS)
            try:
                self._beat()
            except (redis.RedisError, OSError) as error:
                self._lost(error)
            except Exception:  # this thread must not end: its owner would lose all it holds
                log.exception("the pulse stumbled", owner=self._owner.id)
                self._stopping.wait(RENEW_SECONDS)

    def _beat(self) -> None:
        moment = monotonic()
        if self._owner.has_untold:
            self._tell()
        if moment >= self._renew_at:
            self._listen()
            self._renew()
            self._renewed_at = monotonic()
            self._give_back_unread()
            self._renew_at = moment + RENEW_SECONDS
        if moment >= self._sweep_at:
            self._sweep()
            self._sweep_at = moment + SWEEP_SECONDS
        if self._listener.is_open:
            self.is_seen.set()
        if self._trouble:
            log.info("leases are renewed again", owner=self._owner.id)
            self._trouble = ""

    def _tell(self) -> None:
        settlements = self._owner.take_untold()
        try:
            SETTLE.run(self._requests.ask, *told(settlements))
        except BaseException:
            self._owner.put_back(settlements)
            raise

    def _listen(self) -> None:
        """Be seen on the channel. A subscription that the server dropped, or that is not answered, is made again."""
        if not self._listener.is_open:
            self._listener.ask("SUBSCRIBE", self._owner.channel)
            self._unheard = 0
        if self._listener.heard():
            self._unheard = 0
        elif self._unheard >= PINGS_UNHEARD:
            self._listener.close()
            return
        self._unheard += 1
        self._listener.send("PING")

    def _renew(self) -> None:
        held = self._owner.held()
        words = (word for pair in held.items() for word in pair)
        lost = RENEW.run(self._requests.ask, self._owner.id, *words)
        count = self._owner.lose({tag: held[tag] for tag in map(bytes.decode, lost)})
        tally.add(LEASE_LOST, count)
        if count:
            log.warning("leases were lost: others do this work", owner=self._owner.id, count=count)

    def _give_back_unread(self) -> None:
        claims = self._owner.unread_claims()
        if claims:
            GIVE_BACK_CLAIMS.run(self._requests.ask, self._owner.id, *claims)
            self._owner.forget_claims(claims)

    def _sweep(self) -> None:
        found = swept(SWEEP.run(self._requests.ask, *self._sweep_arguments))
        tally.add(MESSAGES_RECOVERED, found.returned if found else 0)
        if found and found.dead:
            log.warning("given back what dead workers held", owners=found.dead, count=found.returned)

    def _lost(self, error: Exception) -> None:
        """Try again soon; an outage is one line."""
        self.is_seen.clear()
        self._disconnect()
        if not self._trouble:
            self._trouble = str(error) or type(error).__name__
            log.warning("leases cannot be renewed", why=self._trouble, lease_seconds=LEASE_SECONDS)
        self._stopping.wait(SWEEP_SECONDS / 2)

    def _disconnect(self) -> None:
        for wire in (self._requests, self._listener):
            wire.close()


def wires_of(pool: Any) -> Callable[[], Wire]:
    """Connections like those of a pool of redis-py, but not the pool's: whoever asks owns them.

    In RESP2: in RESP3, redis-py's default, the answer to SUBSCRIBE is a push, which `read_response` swallows.
    """
    return lambda: Wire(pool.connection_class(**{**pool.connection_kwargs, "protocol": 2}))
