"""A task whose database is killed waits in place, and ends as if nothing had been."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from app.events.dispatch import ClaimedCall
from app.models.derived import Counter
from app.models.outbox import CallState
from app.services.library import Library, Work
from app.tasks.database_task import DatabaseTask, work_over
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.postgres import PostgresServer
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox, call_for, deliver, task_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server these tests may kill."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def outbox(server: PostgresServer) -> Iterator[Outbox]:
    url = server.create_database()
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    with a_library(database_url=url, cache_url=nobody, db_connect_timeout_seconds=2) as library:
        work_over(library)
        yield Outbox(library)
        work_over(None)


class Delivery:
    """A worker's thread with one message."""

    def __init__(self, task: DatabaseTask, claimed: ClaimedCall) -> None:
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(task, claimed), daemon=True)
        self._thread.start()

    def _run(self, task: DatabaseTask, claimed: ClaimedCall) -> None:
        try:
            deliver(task, claimed)
        except BaseException as error:  # noqa: BLE001 — shown by the test
            self.errors.append(error)

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()


def test_killed_between_start_and_effect_the_task_waits_and_then_writes_once(
    server: PostgresServer, outbox: Outbox
) -> None:
    computing, killed, tries = threading.Event(), threading.Event(), []

    def body(library: Library, resource_id: UUID, *, work: Work) -> None:
        computing.set()
        assert killed.wait(30)
        tries.append(resource_id)
        with work() as unit:
            unit.session.add(Counter(name="mark", value=1))

    claimed = outbox.claimed(call_for(outbox.resource()))

    delivery = Delivery(task_of(body), claimed)
    poll_until(computing.is_set, within_seconds=20, what="the task computes")
    server.kill()
    killed.set()
    poll_until(lambda: len(tries) >= 2, within_seconds=30, what="it has failed to write, and tries again")
    assert not delivery.ended
    server.start()
    poll_until(lambda: delivery.ended, within_seconds=60, what="the task has ended")

    assert_done_once(outbox, delivery, claimed)
    with outbox.library.database.reader() as session:
        assert session.get_one(Counter, "mark").value == 1


def test_killed_before_the_start_the_message_waits_and_then_runs_once(server: PostgresServer, outbox: Outbox) -> None:
    runs = []

    def body(library: Library, resource_id: UUID, *, work: Work) -> None:
        runs.append(resource_id)

    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id))
    outbox.resource()  # a claim is on the disk with the next commit that waits for it
    server.kill()

    delivery = Delivery(task_of(body), claimed)
    server.start()
    poll_until(lambda: delivery.ended, within_seconds=60, what="the task has ended")

    assert runs == [resource_id]
    assert_done_once(outbox, delivery, claimed)


def test_a_claim_that_the_server_forgot_is_made_again_and_all_its_copies_run_once(
    server: PostgresServer, outbox: Outbox
) -> None:
    runs = []

    def body(library: Library, resource_id: UUID, *, work: Work) -> None:
        runs.append(resource_id)

    first = claim_forgotten_by(server, outbox)
    task = task_of(body)

    deliver(task, first)  # published before the server broke down
    assert (runs, outbox.state(first.id)) == ([], CallState.WAITING)
    again = outbox.claim()
    assert (again.id, again.generation) == (first.id, first.generation)
    for copy in (again, first, again):
        deliver(task, copy)

    assert runs == [first.subject]
    assert outbox.state(first.id) == CallState.DONE
    assert len(outbox.effects(first.id)) == 1


def claim_forgotten_by(server: PostgresServer, outbox: Outbox) -> ClaimedCall:
    """A claim that was answered, and lost with the memory of the server."""
    server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")  # else a claim is on the disk after 0.2 s
    server.kill()
    server.start()
    for _ in range(5):
        claimed = outbox.claimed(call_for(outbox.resource()))
        server.kill()
        server.start()
        if outbox.state(claimed.id) == CallState.WAITING:
            return claimed
    pytest.fail("the server forgets no claim")


def assert_done_once(outbox: Outbox, delivery: Delivery, claimed: ClaimedCall) -> None:
    call = outbox.call(claimed.id)
    assert delivery.errors == []
    assert (call.state, call.starts, call.attempts, call.history) == (CallState.DONE, 1, 0, [])
    assert len(outbox.effects(claimed.id)) == 1
    assert outbox.dead_letters() == []
