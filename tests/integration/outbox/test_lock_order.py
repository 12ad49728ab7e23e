"""Requests and relays touch waiting calls in one order: on PostgreSQL neither ever waits for the other in a circle."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from app.database import Database
from app.errors import DatabaseUnavailable
from app.events import dispatch
from app.models.base import new_id, now
from app.models.resource import Resource
from app.settings import Settings
from app.transports.base import QUEUES
from tests.integration.outbox.edits import Begin, edit

RESOURCES = 12
EDITS = 60


@pytest.fixture
def resource_ids(begin: Begin) -> list[UUID]:
    with begin() as unit:
        rows = [Resource(id=new_id(), title="t", content="c", content_version=1) for _ in range(RESOURCES)]
        unit.session.add_all(rows)
    return [row.id for row in rows]


def test_edits_beside_a_relay_that_gives_back_all_it_claims_never_deadlock(
    database: Database, begin: Begin, resource_ids: list[UUID], settings: Settings
) -> None:
    stop = threading.Event()
    failed: list[DatabaseUnavailable] = []

    def give_back_again_and_again() -> None:
        while not stop.is_set():
            later = now().replace(year=now().year + 1)  # every call is due
            with database.writer() as session:
                claimed = [
                    call for queue in QUEUES for call in dispatch.claim(session, queue=queue, limit=100, moment=later)
                ]
            with database.writer() as session:
                dispatch.give_back(session, claimed, due_at=now())

    def change(number: int) -> None:
        try:
            edit(begin, resource_ids[number % RESOURCES], version=number + 2)
        except DatabaseUnavailable as error:
            failed.append(error)

    relay = threading.Thread(target=give_back_again_and_again)
    relay.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(change, range(EDITS)))
    stop.set()
    relay.join(30)

    assert not relay.is_alive()
    assert failed == []
