"""Which broker carries the calls: who may claim, who waits, and how one gives way to another.

take      a relay begins: its broker is active, or becomes so when nobody serves the active one
holds     asked by every claim in its own transaction: a switch that has committed fences it off
switch    by hand, whoever serves the active one; stays until a relay of the new broker has come
resend    what was sent goes again, at once and with a new generation
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import Database
from app.events import recovery
from app.models.active_broker import ActiveBroker
from app.models.base import now
from app.models.outbox import ProcessHeartbeat
from app.services.presence import MISSED_AFTER_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """The active broker, and how many times there was a new one. Epoch 0: no relay has ever started."""

    fingerprint: str
    epoch: int
    activated_at: datetime | None

    def __str__(self) -> str:
        return f"{self.fingerprint or 'none yet'} (epoch {self.epoch})"


def active(session: Session) -> Active:
    """As it is committed now."""
    return _seen(session.scalars(select(ActiveBroker)).one())


def may_be_taken(session: Session, fingerprint: str, *, moment: datetime) -> bool:
    """Whether `take` has a chance: asked without a lock by whoever waits."""
    return not _is_anothers(session, session.scalars(select(ActiveBroker)).one(), fingerprint, moment=moment)


def take(session: Session, fingerprint: str, *, moment: datetime) -> Active | None:
    """The active broker, if it is this one or may become it now; None while a relay serves another.

    A broker that was made active by hand waits for its first relay, and is not taken back for lack of one.
    """
    row = session.scalars(select(ActiveBroker).with_for_update()).one()
    if row.fingerprint == fingerprint:
        row.is_served = True
    elif _is_anothers(session, row, fingerprint, moment=moment):
        return None
    else:
        _activate(row, fingerprint, is_served=True, moment=moment)
    session.flush()
    return _seen(row)


def holds(session: Session, held: Active) -> bool:
    """Whether the epoch is still this one; until the end of the transaction no switch can commit."""
    # FOR SHARE: claims do not wait for each other, a switch waits for them and they for it.
    row = session.scalars(select(ActiveBroker).with_for_update(read=True).execution_options(populate_existing=True))
    return row.one().epoch == held.epoch


def switch(session: Session, fingerprint: str, *, moment: datetime) -> bool:
    """Make this broker the active one whatever runs; False when it was already."""
    row = session.scalars(select(ActiveBroker).with_for_update()).one()
    if row.fingerprint == fingerprint:
        return False
    _activate(row, fingerprint, is_served=False, moment=moment)
    return True


def resend_left_behind(database: Database) -> int:
    """Let calls that were claimed or sent for an earlier broker wait again; returns how many.

    Not the running ones: their worker holds a lease.
    """
    return _in_slices(database, recovery.left_behind)


def resend(database: Database) -> int:
    """Let every call that was sent wait again; returns how many."""
    return _in_slices(database, partial(recovery.sent, before=now()))


def _in_slices(database: Database, find: Callable[[Session], list[recovery.LostCall]]) -> int:
    """Each slice is a transaction: killed in between, the rest is found when asked again."""
    total = 0
    while True:
        with database.writer() as session:
            count = recovery.let_wait_again(session, find(session), moment=now())
        if not count:
            return total
        total += count


def _is_anothers(session: Session, row: ActiveBroker, fingerprint: str, *, moment: datetime) -> bool:
    if row.fingerprint == fingerprint or not row.epoch:
        return False
    return not row.is_served or _is_served(session, row.fingerprint, moment=moment)


def _is_served(session: Session, fingerprint: str, *, moment: datetime) -> bool:
    alive = (
        ProcessHeartbeat.role == "relay",
        ProcessHeartbeat.broker == fingerprint,
        ProcessHeartbeat.seen_at >= moment - timedelta(seconds=MISSED_AFTER_SECONDS),
    )
    return session.scalars(select(ProcessHeartbeat.name).where(*alive).limit(1)).first() is not None


def _activate(row: ActiveBroker, fingerprint: str, *, is_served: bool, moment: datetime) -> None:
    row.fingerprint = fingerprint
    row.epoch += 1
    row.is_served = is_served
    row.activated_at = moment


def _seen(row: ActiveBroker) -> Active:
    return Active(fingerprint=row.fingerprint, epoch=row.epoch, activated_at=row.activated_at)
