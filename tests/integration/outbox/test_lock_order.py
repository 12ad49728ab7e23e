"""Requests and relays touch waiting calls in one order of keys, so that on PostgreSQL they never wait in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from app.database import Database
from app.events import dispatch, recovery
from app.models.base import new_id, now
from app.models.outbox import CallState, TaskCall
from app.models.resource import Resource
from app.transports.base import QUEUES, QueueDepth
from tests.integration.outbox.claims import claim_due
from tests.integration.outbox.edits import Begin, edit


@pytest.fixture
def in_flight(database: Database, begin: Begin) -> list[dispatch.ClaimedCall]:
    """Every call of three edited resources, claimed, in the order of urgency."""
    with begin() as unit:
        rows = [Resource(id=new_id(), title="t", content="c", content_version=1) for _ in range(3)]
        unit.session.add_all(rows)
    for row in rows:
        edit(begin, row.id, version=2)
    with database.writer() as session:
        later = now() + timedelta(minutes=1)
        return [call for queue in QUEUES for call in claim_due(session, queue=queue, limit=50, moment=later)]


@pytest.fixture
def touched(database: Database) -> Iterator[list[str]]:
    """The parameters of each UPDATE of calls, in their order."""
    seen: list[str] = []

    def look(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("UPDATE task_calls"):
            seen.append(str(parameters))

    event.listen(database.engine, "before_cursor_execute", look)
    yield seen
    event.remove(database.engine, "before_cursor_execute", look)


def keys_in_order(database: Database, touched: list[str]) -> list[str]:
    with database.reader() as session:
        keys = dict(session.execute(select(TaskCall.id, TaskCall.coalesce_key)).all())
    named: Callable[[str, UUID], bool] = lambda text, one: one.hex in text or str(one) in text  # noqa: E731
    return [str(key) for text in touched for one, key in keys.items() if named(text, one)]


def all_claimed(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    dispatch.give_back(session, calls, due_at=moment)


def all_abandoned(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    recovery.return_abandoned_claims(session, claimed_before=moment + timedelta(hours=1), moment=moment)


def all_lost(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    recovery.return_lost_messages(
        session,
        depth_of=lambda _queue: QueueDepth(ready=0, unacked=0),
        lost_after=timedelta(seconds=60),
        moment=moment + timedelta(hours=1),
    )


@pytest.mark.parametrize("give_back", [all_claimed, all_abandoned, all_lost])
def test_calls_are_let_wait_again_in_the_order_of_their_keys(
    database: Database,
    in_flight: list[dispatch.ClaimedCall],
    touched: list[str],
    give_back: Callable[[Session, list[dispatch.ClaimedCall], datetime], None],
) -> None:
    if give_back is all_lost:
        with database.writer() as session:
            session.execute(update(TaskCall).values(state=CallState.SENT, sent_at=now(), queue="default"))
    touched.clear()

    with database.writer() as session:
        give_back(session, list(reversed(in_flight)), now())

    keys = keys_in_order(database, touched)
    assert len(keys) == len(in_flight) > 6
    assert keys == sorted(keys)
