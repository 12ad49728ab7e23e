"""RabbitMQ delivers again what was not acknowledged when a connection breaks, though its task may run on elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from uuid import UUID

import pytest

from app.events import execution
from app.models.base import now
from app.models.outbox import CallState
from app.polling import wait_until
from app.services.library import Library
from app.tasks.celery_tasks import regenerate_embedding_task
from app.tasks.database_task import work_over
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox, call_for, deliver

pytestmark = pytest.mark.integration

LEASE = timedelta(seconds=1.5)


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(
        database_url=migrated_url, cache_url=cache_url, call_lease_seconds=LEASE.total_seconds(), max_deliveries=5
    ) as library:
        work_over(library)
        yield library
        work_over(None)


@contextmanager
def running_elsewhere(library: Library, owner: str, *, is_alive: bool) -> Iterator[None]:
    """Its lease is renewed now and then, as long as it is alive."""
    is_over = False

    def renew() -> None:
        while not wait_until(lambda: is_over, within_seconds=LEASE.total_seconds() / 3):
            with library.database.writer() as session:
                execution.renew(session, [owner], until=now() + LEASE)

    thread = Thread(target=renew, daemon=True)
    if is_alive:
        thread.start()
    try:
        yield
    finally:
        is_over = True
        if is_alive:
            thread.join(10)


@pytest.mark.parametrize("starts", [4, 5])
def test_a_call_near_its_limit_is_left_to_an_owner_that_lives(library: Library, starts: int) -> None:
    outbox = Outbox(library)
    claimed = outbox.claimed(call_for(outbox.resource()))
    started_by_many(library, claimed.id, starts=starts)

    with running_elsewhere(library, f"owner {starts}", is_alive=True):
        deliver(regenerate_embedding_task, claimed, redelivered=True)

    call = outbox.call(claimed.id)
    assert (call.state, call.starts, call.owner) == (CallState.RUNNING, starts, f"owner {starts}")
    assert outbox.dead_letters() == []


def test_a_call_near_its_limit_is_started_when_its_owner_is_dead(library: Library) -> None:
    outbox = Outbox(library)
    claimed = outbox.claimed(call_for(outbox.resource()))
    started_by_many(library, claimed.id, starts=4)

    with running_elsewhere(library, "owner 4", is_alive=False):
        deliver(regenerate_embedding_task, claimed, redelivered=True)

    assert (outbox.state(claimed.id), outbox.call(claimed.id).starts) == (CallState.DONE, 5)


def test_a_call_that_was_started_seldom_is_started_at_once(library: Library) -> None:
    outbox = Outbox(library)
    claimed = outbox.claimed(call_for(outbox.resource()))
    started_by_many(library, claimed.id, starts=3)

    with running_elsewhere(library, "owner 3", is_alive=True):
        deliver(regenerate_embedding_task, claimed, redelivered=True)

    assert outbox.call(claimed.id).starts == 4


def started_by_many(library: Library, call_id: UUID, *, starts: int) -> None:
    """Each by another owner, who took it over from the one before."""
    for number in range(1, starts + 1):
        with library.database.writer() as session:
            started = execution.start(
                session,
                call_id,
                generation=1,
                owner=f"owner {number}",
                lease=LEASE,
                moment=now(),
            )
        assert started is not None
