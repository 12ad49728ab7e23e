"""Requests and relays touch waiting calls in one order of keys, so that on PostgreSQL they never wait in a circle.

The order holds for a transaction, not for one function of it: whatever queues and kinds of loss it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from app.database import Database
from app.events import dispatch, recovery
from app.events.event_types import EventType
from app.events.hooks import PlannedCall
from app.models.base import new_id, now
from app.models.outbox import CallState, TaskCall
from app.models.resource import Resource
from app.tasks.task_names import TaskName
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


def all_given_back(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    dispatch.give_back(session, calls, due_at=moment)


def all_recovered(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    """As a relay does: every kind of loss, of every queue, in one transaction."""
    kinds = {CallState.CLAIMED: calls[0::3], CallState.SENT: calls[1::3], CallState.RUNNING: calls[2::3]}
    for state, those in kinds.items():
        ids = [call.id for call in those]
        session.execute(update(TaskCall).where(TaskCall.id.in_(ids)).values(state=state, sent_at=moment))
    session.execute(update(TaskCall).values(lease_until=moment))
    later = moment + timedelta(hours=1)
    depth_of = lambda _queue: QueueDepth(ready=0, unacked=0)  # noqa: E731
    lost = recovery.abandoned_claims(session, claimed_before=later)
    lost += recovery.expired_leases(session, moment=later)
    lost += recovery.lost_messages(session, depth_of=depth_of, lost_after=timedelta(seconds=60), moment=later)
    recovery.let_wait_again(session, lost, moment=moment)


def all_left_behind(session: Session, calls: list[dispatch.ClaimedCall], moment: datetime) -> None:
    some = [call.id for call in calls[::2]]
    session.execute(update(TaskCall).where(TaskCall.id.in_(some)).values(state=CallState.SENT, sent_at=moment))
    session.execute(update(TaskCall).values(epoch=-1))
    recovery.let_wait_again(session, recovery.left_behind(session), moment=moment)


@pytest.mark.parametrize("give_back", [all_given_back, all_recovered, all_left_behind])
def test_calls_are_let_wait_again_in_the_order_of_their_keys(
    database: Database,
    in_flight: list[dispatch.ClaimedCall],
    touched: list[str],
    give_back: Callable[[Session, list[dispatch.ClaimedCall], datetime], None],
) -> None:
    assert len({call.queue for call in in_flight}) > 1
    touched.clear()

    with database.writer() as session:
        give_back(session, list(reversed(in_flight)), now())

    waited = [text for text in touched if CallState.WAITING in text]
    keys = keys_in_order(database, waited)
    assert len(keys) == len(in_flight) > 6
    assert keys == sorted(keys)


def test_a_transaction_stores_all_its_calls_at_once(database: Database, begin: Begin) -> None:
    """What is enqueued before an event is emitted may stand behind the calls of that event."""
    stored = ""

    def look(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        nonlocal stored
        if statement.startswith("INSERT INTO task_calls"):
            stored += str(parameters)

    event.listen(database.engine, "before_cursor_execute", look)
    resource = new_id()
    with begin() as unit:
        unit.session.add(Resource(id=resource, title="t", content="c", content_version=1))
        unit.enqueue(canary("zz-canary"))
        unit.emit(EventType.RESOURCE_CONTENT_CHANGED, {"resource_id": str(resource), "content_version": 1})
        unit.enqueue(canary("aa-canary"))
    event.remove(database.engine, "before_cursor_execute", look)

    with database.reader() as session:
        keys = [str(key) for key in session.scalars(select(TaskCall.coalesce_key))]
    assert len(keys) > 3
    assert sorted(keys, key=stored.index) == sorted(keys)


def canary(key: str) -> PlannedCall:
    return PlannedCall(
        task=TaskName.CANARY, args=[key], queue="default", priority=5, delay=timedelta(0), coalesce_key=key
    )
