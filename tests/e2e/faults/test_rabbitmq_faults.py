"""Everything RabbitMQ can do to its clients, under load: no call is lost or dead, no effect happens twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from urllib.parse import quote

import pika
import pytest

from chaos.polling import poll_until
from chaos.processes import HarnessError
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import ValkeyServer
from chaos.stack import Stack
from tests.e2e.deployment import Client, Deployment
from tests.e2e.ledger import Writer
from tests.e2e.staleness import stale_by_the_tables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEED = 20261124
FORCED_CLOSES = 20
WRITES_BETWEEN = 10
SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "EMBEDDING_ENGINE": "hashing",
    "DEBOUNCE_SCALE": "0.2",
    "CALL_LEASE_SECONDS": "5",
    "RELAY_LOST_AFTER_SECONDS": "5",
    "RECONCILE_INTERVAL_SECONDS": "3600",  # what was lost must come back without it
}


@pytest.fixture
def broker() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


def test_whatever_rabbitmq_does_nothing_is_lost_or_doubled(
    broker: RabbitServer, postgres_server: PostgresServer
) -> None:
    with ValkeyServer() as cache:
        database = postgres_server.create_database()
        deployment = Deployment(
            name="postgresql-rabbitmq", database_url=database, broker_url=broker.url, cache_url=cache.url
        )
        with Stack(database_url=database, broker_url=broker.url, cache_url=cache.url, environment=SETTINGS) as stack:
            pids = [worker.pid for worker in stack.workers]
            with Writer(stack.url, seed=SEED) as writer:
                for fault in (_close_everything, _delete_the_queues, _raise_the_alarm, _die, _lose_the_disk):
                    _let_write(writer)
                    fault(broker, writer)
                    _let_write(writer)
            with closing(Client(stack.url)) as client:
                poll_until(client.has_converged, within_seconds=120, every_seconds=0.2, what="everything converges")

            assert not writer.refused
            assert [worker.pid for worker in stack.workers if worker.running] == pids
            assert stale_by_the_tables(deployment) == []
            assert deployment.query("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1") == []
            assert deployment.query("SELECT id, last_error FROM task_calls WHERE state = 'dead'") == []
        postgres_server.drop_database(database)


Fault = Callable[[RabbitServer, Writer], None]


def _close_everything(broker: RabbitServer, writer: Writer) -> None:
    for _ in range(FORCED_CLOSES):
        names = poll_until(lambda: _connections(broker), within_seconds=60, what="somebody is connected")
        for name in names:
            with suppress(HarnessError):  # it has gone by itself
                broker.access.management("DELETE", f"/api/connections/{quote(name, safe='')}")


def _connections(broker: RabbitServer) -> list[str]:
    return [connection["name"] for connection in broker.access.management("GET", "/api/connections")]


def _delete_the_queues(broker: RabbitServer, writer: Writer) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(broker.url))) as connection:
        for queue in ("default", "ml_tasks", "ingest.dead"):
            connection.channel().queue_delete(queue)


def _raise_the_alarm(broker: RabbitServer, writer: Writer) -> None:
    broker.ctl("set_vm_memory_high_watermark", "0.00001")
    _let_write(writer)
    broker.ctl("set_vm_memory_high_watermark", "0.4")


def _die(broker: RabbitServer, writer: Writer) -> None:
    broker.kill()
    broker.start()


def _lose_the_disk(broker: RabbitServer, writer: Writer) -> None:
    broker.kill()
    broker.wipe()
    broker.start()


def _let_write(writer: Writer) -> None:
    target = writer.count + WRITES_BETWEEN
    poll_until(lambda: writer.count >= target, within_seconds=60, what="writes go on")
