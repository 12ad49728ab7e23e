"""What only Redis and Valkey can do to a publisher."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from app.errors import TransportUnavailable
from app.transports.base import Transport
from chaos.ports import free_port
from chaos.servers.base import Server
from chaos.servers.redis import RedisServer
from tests.conformance.brokers import messages
from tests.conformance.conftest import TransportMaker
from tests.conformance.witnesses import RedisWitness

PATIENT_SECONDS = 20.0


@pytest.fixture(params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, fragile_servers: Callable[[str], Server]) -> Iterator[RedisServer]:
    server = fragile_servers(str(request.param))
    assert isinstance(server, RedisServer)
    yield server
    with server.client() as client:
        client.replicaof("NO", "ONE")
        for name, value in {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "yes"}.items():
            client.config_set(name, value)
        client.flushall()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def transport(server: RedisServer, transport_to: TransportMaker) -> Transport:
    return transport_to(server.url)


def test_a_full_server_refuses_in_its_own_words_and_accepts_when_there_is_room(
    server: RedisServer, client: redis.Redis, transport: Transport
) -> None:
    client.config_set("maxmemory", "1")
    outcomes = transport.publish(messages([1, 2]), deadline_seconds=PATIENT_SECONDS)
    assert all(outcome.refused and not outcome.permanent and "maxmemory" in outcome.reason for outcome in outcomes)

    client.config_set("maxmemory", "0")
    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    assert RedisWitness(server.url).count("default") == 1


def test_a_read_only_replica_refuses_and_is_not_healthy(client: redis.Redis, transport: Transport) -> None:
    client.replicaof("127.0.0.1", str(free_port()))

    (outcome,) = transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)

    assert outcome.refused
    assert "read only" in outcome.reason.lower()
    with pytest.raises(TransportUnavailable, match="replica"):
        transport.health(deadline_seconds=PATIENT_SECONDS)


def test_connections_closed_by_the_server_cost_nothing(
    server: RedisServer, client: redis.Redis, transport: Transport
) -> None:
    for _ in range(3):
        assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
        client.client_kill_filter(_type="normal", skipme=True)

    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    assert RedisWitness(server.url).count("default") == 4


@pytest.mark.parametrize(
    ("name", "value", "warning"),
    [("maxmemory-policy", "allkeys-lru", "allkeys-lru"), ("appendonly", "no", "append-only")],
)
def test_a_server_that_may_lose_messages_is_healthy_with_a_warning(
    client: redis.Redis, transport: Transport, name: str, value: str, warning: str
) -> None:
    client.config_set(name, value)

    (said,) = transport.health(deadline_seconds=PATIENT_SECONDS)

    assert warning in said


def test_what_workers_hold_is_counted_by_queue(client: redis.Redis, transport: Transport) -> None:
    client.hset("unacked", mapping={"t1": '[{}, "", "ingest"]', "t2": '[{}, "", "ingest"]', "t3": '[{}, "", "batch"]'})
    client.lpush("ingest.dead", "{}")

    depths = transport.depths(deadline_seconds=PATIENT_SECONDS)

    assert {queue: depth.unacked for queue, depth in depths.items()} == {
        "default": 0,
        "ml_tasks": 0,
        "ingest": 2,
        "batch": 1,
    }
    assert depths["ingest"].dead == 1


def test_a_message_that_nobody_can_read_is_counted_while_it_is_held(client: redis.Redis, transport: Transport) -> None:
    """A worker holds such a one from its claim until it has rejected it."""
    client.hset("unacked", mapping={"t1": b'[{"body":"\xff"},"","ingest"]', "t2": b'[[[,"","batch"]', "t3": b"strange"})

    depths = transport.depths(deadline_seconds=PATIENT_SECONDS)

    assert [depths[queue].unacked for queue in ("default", "ingest", "batch")] == [0, 1, 1]
