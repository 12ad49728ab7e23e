"""Tending: a thread of the relay that does for the broker what it does not do by itself, also during a long publish."""

from __future__ import annotations

import threading

import structlog

from app.errors import TransportUnavailable
from app.transports.base import TEND_SECONDS, Transport

log = structlog.get_logger(__name__)


class Tending:
    """Gives back what dead workers held, twice a second; an outage is the relay's to tell."""

    def __init__(self, transport: Transport, *, max_deliveries: int) -> None:
        self._transport = transport
        self._max_deliveries = max_deliveries
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tending", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits no longer than one request."""
        self._stop.set()
        self._thread.join(2 * TEND_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(TEND_SECONDS):
            try:
                returned = self._transport.tend(max_deliveries=self._max_deliveries)
            except TransportUnavailable as error:
                log.debug("the broker cannot be tended", error=error.detail)
            except Exception:
                log.exception("the broker was not tended")
            else:
                if returned:
                    log.warning("given back what dead workers held", count=returned)
