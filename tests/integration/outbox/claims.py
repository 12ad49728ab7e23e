"""Claims as a relay makes them: what is due of one queue, the most urgent first."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.events import dispatch
from app.events.dispatch import ClaimedCall
from app.models.active_broker import ActiveBroker


def claim_due(session: Session, *, queue: str, limit: int, moment: datetime) -> list[ClaimedCall]:
    """In the epoch of now."""
    epoch = session.scalars(select(ActiveBroker.epoch)).one()
    claimed: list[ClaimedCall] = []
    for one, priority in dispatch.outlook(session).due(moment):
        if one == queue and len(claimed) < limit:
            room = limit - len(claimed)
            claimed += dispatch.claim(session, queue=queue, priority=priority, limit=room, epoch=epoch, moment=moment)
    return claimed
