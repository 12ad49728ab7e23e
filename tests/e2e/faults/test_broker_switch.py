"""A running system is moved to another broker, under load and with the old one dead: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import pytest

from chaos.polling import poll_until
from chaos.servers.base import Server
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitAccess, RabbitServer
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.stack import Stack
from chaos.stack_process import StackProcess
from tests.e2e.deployment import Client, Deployment
from tests.e2e.ledger import Writer
from tests.e2e.staleness import stale_by_the_tables
from tests.unit.content.web_server import Handler, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEED = 20261124
RESTART_EXIT_CODE = 75
SENDERS = ("relay", "worker", "ml-worker")
FETCHED_WITHIN_SECONDS = 120.0
SETTINGS = {
    "EMBEDDING_ENGINE": "hashing",
    "DEBOUNCE_SCALE": "0.2",
    "RETRY_FIRST_DELAY_SECONDS": "0.5",
    "RECONCILE_INTERVAL_SECONDS": "3600",  # what was left behind must come back without it,
    "RELAY_LOST_AFTER_SECONDS": "3600",  # and without being called lost
    "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
    "INGEST_FETCH_TIMEOUT_SECONDS": str(FETCHED_WITHIN_SECONDS),
}


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def redis_server(redis_server: RedisServer) -> RedisServer:
    """The shared one, emptied: tests of single messages leave theirs there."""
    with redis_server.client() as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="module")
def cache() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


class House:
    """One database and one API; relays and workers on as many brokers as are asked for."""

    def __init__(self, running: ExitStack, *, database_url: str, cache_url: str) -> None:
        self.deployment = Deployment(name="switch", database_url=database_url, broker_url="", cache_url=cache_url)
        self._running = running

    def on(self, broker_url: str, *processes: str) -> Stack:
        stack = Stack(
            database_url=self.deployment.database_url,
            broker_url=broker_url,
            cache_url=self.deployment.cache_url,
            environment=SETTINGS,
            processes=processes,
        )
        self._running.callback(stack.close)
        (stack.directory / "data").mkdir()
        stack.run_command("db", "upgrade")
        for process in stack.processes.values():
            process.start()
        for process in stack.processes.values():
            self.wait_for(process)
        return stack

    def wait_for(self, process: StackProcess) -> None:
        """Until it says that it lives: whether it may work yet is another matter. An API says so by answering."""
        if process.name == "api":
            process.wait_until_up()
            return
        sql = f"SELECT 1 FROM process_heartbeats WHERE pid = {process.pid}"
        if process.name != "beat":
            poll_until(lambda: self.query(sql), within_seconds=60, what=f"{process.name} lives")

    def query(self, sql: str) -> list[tuple[object, ...]]:
        return self.deployment.query(sql)

    def converges(self, client: Client) -> None:
        poll_until(client.has_converged, within_seconds=120, every_seconds=0.2, what="everything converges")

    def every_effect_is_there_and_once(self, ids: set[str]) -> None:
        assert stale_by_the_tables(self.deployment) == []
        assert self.query("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1") == []
        assert self.query("SELECT id FROM task_calls WHERE state = 'dead'") == []
        with_effects = {
            str(row[0]) for row in self.query("SELECT DISTINCT subject FROM effects WHERE kind = 'embedding'")
        }
        assert with_effects == ids


@contextmanager
def a_house(database_url: str, cache: ValkeyServer) -> Iterator[House]:
    with ExitStack() as running:
        yield House(running, database_url=database_url, cache_url=cache.url)


def test_there_and_back_by_hand_under_load(
    database_url: str, cache: ValkeyServer, rabbit: RabbitAccess, redis_server: RedisServer
) -> None:
    with a_house(database_url, cache) as house, rabbit.vhost() as rabbit_url:
        first = house.on(redis_server.database_url(0), "api", "beat", *SENDERS)
        with Writer(first.url, seed=SEED) as writer:
            _writes_go_on(writer, 20)
            second = house.on(rabbit_url, *SENDERS)
            _switched(second, away_from=first)
            _writes_go_on(writer, 20)
            for name in SENDERS:  # as its supervisor would: with the settings it was started with
                first.processes[name].start()
                house.wait_for(first.processes[name])
            _switched(first, away_from=second)
            _writes_go_on(writer, 20)
        with closing(Client(first.url)) as client:
            house.converges(client)
            status = client.get("/broker/status")
        for process in second.workers:  # they drop what was left there
            process.start()
        drained = second.run_command("broker", "drain", "--within", "90", within_seconds=120)

        assert not writer.refused
        house.every_effect_is_there_and_once(set(writer.accepted))
        assert status["active"]["epoch"] == 3
        assert status["active"]["fingerprint"] == status["fingerprint"]
        assert "nothing waits any more" in drained.splitlines()[-1]  # RabbitMQ does not tell what workers hold


@pytest.mark.parametrize("dies", ["redis", "rabbitmq"])
def test_a_backlog_on_a_broker_that_is_killed_is_done_on_the_other(
    dies: str, database_url: str, cache: ValkeyServer, rabbit: RabbitAccess, redis_server: RedisServer
) -> None:
    with (
        a_house(database_url, cache) as house,
        _to_be_killed(dies) as old,
        rabbit.vhost() as rabbit_url,
    ):
        alive = rabbit_url if dies == "redis" else redis_server.database_url(1)
        first = house.on(old.url, "api", "relay", "ml-worker")  # nobody serves the queues of the index and of quality
        with closing(Client(first.url)) as client:
            ids = {client.post("/resources", {"title": "t", "content": f"text {n}"})["id"] for n in range(60)}
            poll_until(lambda: _count_sent(house) > 100, within_seconds=60, what="the backlog is at the old broker")
            with Writer(first.url, seed=SEED) as writer:
                _writes_go_on(writer, 5)
                old.kill()
                _writes_go_on(writer, 10)
                second = house.on(alive, *SENDERS)
                second.run_command("broker", "switch")
                for process in (first.relay, first.ml_worker):
                    _ends_for_a_restart(process)
                _writes_go_on(writer, 10)
            house.converges(client)

        assert not writer.refused
        house.every_effect_is_there_and_once(ids | set(writer.accepted))


@pytest.mark.parametrize("old_broker", ["lives", "dies"])
@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_worker_told_to_end_during_a_switch_finishes_its_task_once_and_ends(
    kind: str, old_broker: str, request: pytest.FixtureRequest, cache: ValkeyServer, database_url: str
) -> None:
    with a_house(database_url, cache) as house, _to_be_killed(kind) as old, web_server() as pages:
        enough = threading.Event()
        pages.answers["/slow"] = partial(_drips_until, enough)
        first = house.on(old.url, "api", "relay", "worker")
        with closing(Client(first.url)) as client:
            call_id = client.post("/ingest", {"url": pages.url("/slow")})["call_id"]
            poll_until(lambda: pages.requests, within_seconds=60, what="the task runs")
            second = house.on(request.getfixturevalue("rabbit_url" if kind == "redis" else "redis_url"), *SENDERS)
            if old_broker == "dies":
                old.kill()
            second.run_command("broker", "switch")
            os.kill(first.worker.pid, signal.SIGTERM)
            _ends_for_a_restart(first.relay)
            assert first.worker.running, "it does not leave its task"

            enough.set()
            poll_until(lambda: not first.worker.running, within_seconds=60, what="the worker has ended")
            house.converges(client)

        assert first.worker.exit_code in {0, RESTART_EXIT_CODE}, first.worker.report()
        assert house.query(f"SELECT count(*), max(attempt) FROM effects WHERE call_id = '{call_id}'") == [(1, 1)]
        assert house.query(f"SELECT state, starts FROM task_calls WHERE id = '{call_id}'") == [("done", 1)]
        assert len(pages.requests) == 1


def _drips_until(enough: threading.Event, page: Handler) -> None:
    """A byte, and another, so that no reader gives up; then all the rest."""
    drops, text = 1000, b"<html><title>Late</title><p>A page that takes its time to come.</p></html>"
    page.send_response(200)
    page.send_header("Content-Type", "text/html")
    page.send_header("Content-Length", str(drops + len(text)))
    page.end_headers()
    while drops and not enough.wait(0.2):
        page.wfile.write(b" ")
        drops -= 1
    page.wfile.write(b" " * drops + text)


def test_relays_that_disagree_wait_for_each_other_and_readyz_names_both(
    database_url: str, cache: ValkeyServer, rabbit: RabbitAccess, redis_server: RedisServer
) -> None:
    chance = random.Random(SEED)
    with a_house(database_url, cache) as house, rabbit.vhost() as rabbit_url:
        first = house.on(redis_server.database_url(3), "api", *SENDERS)
        second = house.on(rabbit_url, "api", *SENDERS)
        told = poll_until(lambda: _relay_part_in_epoch_1(second), within_seconds=30, what="/readyz names the active")
        assert told["ok"] is False
        assert "redis:127.0.0.1" in told["detail"]
        assert "rabbitmq:127.0.0.1" in told["detail"]
        assert first.readiness()["parts"]["relay"]["ok"]

        with Writer(first.url, seed=SEED) as writer:
            _writes_go_on(writer, chance.randint(10, 20))
            for process in first.workers:
                process.kill()
            first.relay.terminate()
            poll_until(lambda: second.readiness()["parts"]["relay"]["ok"], within_seconds=30, what="it takes over")
            _writes_go_on(writer, 10)
        with closing(Client(second.url)) as client:
            house.converges(client)

        assert second.readiness()["parts"]["relay"]["epoch"] == 2
        house.every_effect_is_there_and_once(set(writer.accepted))


def _relay_part_in_epoch_1(stack: Stack) -> dict[str, Any]:
    part: dict[str, Any] = stack.readiness().get("parts", {}).get("relay", {})
    return part if part.get("epoch") == 1 else {}


def _switched(to: Stack, *, away_from: Stack) -> None:
    assert " now; it was " in to.run_command("broker", "switch")
    for name in SENDERS:
        process = away_from.processes[name]
        _ends_for_a_restart(process)
        assert "Traceback" not in process.log.read_text(), process.report()


def _ends_for_a_restart(process: StackProcess) -> None:
    poll_until(lambda: not process.running, within_seconds=60, what=f"{process.name} has ended")
    assert process.exit_code == RESTART_EXIT_CODE, process.report()


def _writes_go_on(writer: Writer, count: int) -> None:
    target = writer.count + count
    poll_until(lambda: writer.count >= target, within_seconds=60, every_seconds=0.01, what="writes go on")


def _count_sent(house: House) -> int:
    [(count,)] = house.query("SELECT count(*) FROM task_calls WHERE state = 'sent'")
    return int(str(count))


@contextmanager
def _to_be_killed(kind: str) -> Iterator[Server]:
    server: Server = RedisServer() if kind == "redis" else RabbitServer()
    with server:
        yield server
