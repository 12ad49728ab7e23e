"""What is left on a broker is seen by the checker: through a client on any broker, all of it on the suite's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pika
import pytest
import redis

from app.transports.registry import open_transport
from chaos.broker_contents import BrokerContents, contents
from chaos.invariants.observed import Observed
from chaos.invariants.remains import nothing_is_left
from chaos.ledger import Ledger
from chaos.polling import poll_until
from chaos.servers.rabbit import RabbitServer
from chaos.tables import Tables

pytestmark = pytest.mark.integration

NOTHING = {"default": 0, "ml_tasks": 0, "ingest": 0, "batch": 0}


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitServer]:
    with RabbitServer() as server:
        yield server


@pytest.fixture
def vhost(node: RabbitServer) -> Iterator[str]:
    """One in which the product's queues are."""
    with node.vhost() as url:
        declare(url)
        yield url


def declare(url: str) -> None:
    with closing(open_transport(url)) as transport:
        transport.declare(deadline_seconds=10)


def test_what_is_left_on_redis_is_seen(redis_url: str) -> None:
    declare(redis_url)
    assert contents(redis_url).is_empty

    with redis.Redis.from_url(redis_url) as client:
        client.lpush("default", "a message")
        client.lpush("ml_tasks\x06\x164", "another")
        client.lpush("ingest.dead", "a dead one")
        client.hset("unacked", "tag", json.dumps(["held by nobody", "", "default"]))

    assert contents(redis_url) == BrokerContents(
        ready=NOTHING | {"default": 1, "ml_tasks": 1}, dead=NOTHING | {"ingest": 1}, orphan_keys=("unacked",)
    )


def test_what_is_left_on_a_rabbitmq_of_others_is_seen_through_a_client(vhost: str) -> None:
    assert contents(vhost) == BrokerContents(ready=NOTHING, dead=NOTHING)

    publish(vhost, "default", "ml_tasks", "ingest.dead")

    assert contents(vhost) == BrokerContents(
        ready=NOTHING | {"default": 1, "ml_tasks": 1}, dead=NOTHING | {"ingest": 1}
    )


def test_before_its_queues_are_declared_a_rabbitmq_is_empty(node: RabbitServer) -> None:
    with node.vhost() as url:
        found = contents(url)
        assert found.is_empty
        assert len(found.missing_queues) == 8


def test_an_own_node_tells_of_every_queue(node: RabbitServer, vhost: str, migrated_postgres_url: str) -> None:
    assert contents(vhost, server=node) == BrokerContents(ready=NOTHING, dead=NOTHING)

    with closing(pika.BlockingConnection(pika.URLParameters(vhost))) as connection:
        channel = connection.channel()
        channel.queue_declare("of-an-older-version")
        publish(vhost, "of-an-older-version", "ml_tasks", "ingest.dead")
        channel.queue_delete("batch")
        poll_until(lambda: channel.basic_get("ml_tasks")[0], within_seconds=5, what="a message is held")

        found = contents(vhost, server=node)

    assert found == BrokerContents(
        ready={"default": 0, "ml_tasks": 0, "ingest": 0, "of-an-older-version": 1},
        dead=NOTHING | {"ingest": 1},
        unacked={"ml_tasks": 1},
        orphan_queues=("of-an-older-version",),
        missing_queues=("batch",),
    )
    assert breaches(found, migrated_postgres_url) == (
        "1 messages are left in of-an-older-version",
        "1 messages of ml_tasks are held by somebody",
        "1 dead letters are left in ingest.dead",
        "orphan queue of-an-older-version",
        "the queue batch is gone",
    )


def breaches(found: BrokerContents, database_url: str) -> tuple[str, ...]:
    """What I9 says of it."""
    with closing(Tables(database_url)) as tables:
        return nothing_is_left(Observed(tables=tables, ledger=Ledger(), contents=found)).breaches


def publish(url: str, *queues: str) -> None:
    """One message to each."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        for queue in queues:
            connection.channel().basic_publish("", queue, b"x")
