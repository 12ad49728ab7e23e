"""Tenure: a relay sends only while its broker is the active one, waits before, and ends after."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.database import Database
from app.errors import BrokerSwitched
from app.services import active_broker
from app.services.active_broker import Active

LOOK_AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Tenure:
    """Of the relay whose broker is `fingerprint`."""

    def __init__(self, database: Database, *, fingerprint: str, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._fingerprint = fingerprint
        self._clock = clock
        self._held: Active | None = None
        self._waits_for: Active | None = None
        self._looked_at = 0.0

    @property
    def begun(self) -> bool:
        """Whether this relay has been the active one's since its start."""
        return self._held is not None

    @property
    def epoch(self) -> int:
        """What a claim has to name; only once begun."""
        assert self._held is not None
        return self._held.epoch

    def begin(self) -> bool:
        """Make this broker the active one, or wait: False while a relay of another one lives."""
        with self._database.reader() as session:
            before = active_broker.active(session)
            has_a_chance = active_broker.may_be_taken(session, self._fingerprint, moment=self._clock())
        if not has_a_chance:
            self._wait_for(before)
            return False
        with self._database.writer() as session:
            before = active_broker.active(session)
            self._held = active_broker.take(session, self._fingerprint, moment=self._clock())
        if self._held is None:
            self._wait_for(before)
            return False
        if self._held != before:
            log.info("this broker is the active one now", broker=str(self._held), before=str(before))
        if again := active_broker.resend_left_behind(self._database):
            log.warning("calls left behind on another broker are sent again", count=again)
        return True

    def look(self) -> None:
        """Once a second: raises `BrokerSwitched` when another broker has become the active one."""
        if time.monotonic() - self._looked_at >= LOOK_AGAIN_SECONDS:
            self.look_now()

    def look_now(self) -> None:
        """See `look`."""
        self._looked_at = time.monotonic()
        with self._database.glance() as session:
            active = active_broker.active(session)
        if self._held is None or active.epoch != self._held.epoch:
            raise self._switched(active)

    def check(self, session: Session) -> None:
        """In a transaction that recovers: once a switch has committed, no relay of the old broker gets past this."""
        if self._held is None or not active_broker.holds(session, self._held):
            raise self._switched(active_broker.active(session))

    def _wait_for(self, active: Active) -> None:
        if active != self._waits_for:
            log.warning("the relay waits: another broker is the active one", active=str(active), own=self._fingerprint)
        self._waits_for = active

    def _switched(self, active: Active) -> BrokerSwitched:
        return BrokerSwitched(
            f"the active broker is {active} now; this relay of {self._held} ends, to be started again"
        )
