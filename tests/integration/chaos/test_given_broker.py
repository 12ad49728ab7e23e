"""`alexandria-chaos run --broker-url`: what it refuses to touch."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest
import redis

from chaos.command import main
from chaos.given_address import BrokerRefused, resolve
from chaos.given_broker import accept
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer
from chaos.stack import Stack

FAST = {"EMBEDDING_ENGINE": "hashing"}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://192.0.2.1:6379/0", "is not on this machine"),
        ("amqp://user:secret@broker.example:5672/", "is not on this machine"),
        ("rediss://127.0.0.1:6379/0", "carry redis:// and amqp://"),
        ("sqs://127.0.0.1", "carry redis:// and amqp://"),
        ("redis://127.0.0.1/0", "a host and a port are needed"),
        ("redis://127.0.0.1:many/0", "a host and a port are needed"),
        ("redis://:secret@127.0.0.1:0/0", "a host and a port are needed"),
        ("redis://:secret@127.0.0.1:99999/0", "a host and a port are needed"),
        ("redis:secret@127.0.0.1:6379/0", "a host and a port are needed"),
        ("", "carry redis:// and amqp://"),
        ("redis://:secret@[::1/0", "Invalid IPv6 URL"),
        ("redis://:secret@127.0.0.1:6379/\n0", "only printable ASCII"),
        ("redis://:secret@bücher.example:6379/0", "only printable ASCII"),
        ("amqp://guest:secret@127.0.0.1:5672/?x=1", r"without \?"),
        ("redis://:secret@127.0.0.1:6379/0?x=1", r"without \?"),
        ("redis://:secret@127.0.0.1:6379/0?", r"without \?"),
        ("redis://:secret@127.0.0.1:6379/0#1", r"without \?"),
        ("redis://:secret@127.0.0.1:6379/0;redis://127.0.0.1:6380/0", "not a list"),
        ("redis://:secret@%31%32%37.0.0.1:6379/0", "a host without %"),
        ("redis://:secret@127.0.0.1:6379/zero", "the number of a database"),
        ("redis://:secret@127.0.0.1:6379/1/2", "the number of a database"),
        (f"redis://:secret@127.0.0.1:6379/{'9' * 5000}", "the number of a database"),
        ("amqp://guest:secret@127.0.0.1:5672/a/b", "as %2F"),
    ],
)
def test_an_address_that_must_not_or_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(BrokerRefused, match=why) as refused:
        accept(url, times_told=1)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@127.0.0.1:5672/?x=1",
        "redis://127.0.0.1:6379/0?x=1",
        "redis://127.0.0.1:notaport/0",
        "redis://[::1/0",
        "not an address",
    ],
)
def test_a_wrong_address_is_one_line_and_exit_status_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--broker-url", url]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("alexandria-chaos: ")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433"])
def test_the_address_that_was_looked_at_is_the_one_that_is_used(host: str, own_redis: RedisServer) -> None:
    given = accept(own_redis.url.replace("127.0.0.1", host), times_told=0)

    assert given.url == own_redis.url
    assert given.place == f"redis://{host}:{own_redis.port}/0"
    assert given.is_loopback


def test_of_the_places_a_name_stands_for_the_one_that_answers_is_used() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        port = listening.getsockname()[1]
        assert resolve(f"redis://[::1]:{port}/0", times_told=0).url == f"redis://[::1]:{port}/0"


@pytest.mark.parametrize("path", ["", "/", "//", "/%2F", "/%2f"])
def test_the_virtual_host_is_spelt_so_that_all_read_it_alike(path: str, rabbit: RabbitAccess) -> None:
    root = rabbit.amqp_url().removesuffix("/%2F")
    assert resolve(f"{root}{path}", times_told=0).url == f"{root}/%2F"


def test_a_server_that_speaks_something_else_is_refused(own_redis: RedisServer, rabbit: RabbitAccess) -> None:
    for url in (f"amqp://guest:guest@127.0.0.1:{own_redis.port}/", f"redis://127.0.0.1:{rabbit.port}/0"):
        with pytest.raises(BrokerRefused, match="cannot be used"):
            accept(url, times_told=0)


def test_a_redis_database_with_another_client_is_refused_and_the_one_beside_it_is_not(own_redis: RedisServer) -> None:
    with redis.Redis.from_url(own_redis.database_url(3), client_name="a-worker") as client:
        client.ping()
        with pytest.raises(BrokerRefused, match=r"in use by others: connections of a-worker \(1\)"):
            accept(own_redis.database_url(3), times_told=0)
        assert accept(own_redis.database_url(4), times_told=0).kind == "redis"


def test_a_replica_is_no_other_client(own_redis: RedisServer) -> None:
    with RedisServer() as replica, replica.client() as client:
        client.config_set("masterauth", own_redis.password)
        client.replicaof("127.0.0.1", own_redis.port)
        poll_until(
            lambda: client.info("replication").get("master_link_status") == "up",
            within_seconds=30,
            what="the replica follows",
        )
        assert accept(own_redis.url, times_told=0).kind == "redis"


def test_a_virtual_host_with_a_consumer_is_refused(rabbit_url: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(rabbit_url))) as connection:
        channel = connection.channel()
        channel.queue_declare("ingest", durable=True)
        assert accept(rabbit_url, times_told=0).kind == "rabbitmq"
        channel.basic_consume("ingest", lambda *_: None)
        with pytest.raises(BrokerRefused, match=r"in use by others: consumers of ingest \(1\)"):
            accept(rabbit_url, times_told=0)


@pytest.mark.parametrize("broker", ["redis_url", "rabbit_url"])
def test_a_broker_of_an_idle_living_alexandria_is_refused(
    broker: str, postgres_url: str, cache_url: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(broker)
    with Stack(database_url=postgres_url, broker_url=url, cache_url=cache_url, processes=("worker",), environment=FAST):
        poll_until(lambda: "in use by others" in refusal(url), within_seconds=60, what="the worker is noticed")


def refusal(url: str) -> str:
    try:
        accept(url, times_told=0)
    except BrokerRefused as refused:
        return str(refused)
    return ""


def test_a_broker_elsewhere_is_asked_only_when_told_twice() -> None:
    with pytest.raises(BrokerRefused, match="cannot be used"):  # 192.0.2.0/24 is nobody's
        accept(f"redis://localhost.invalid:{free_port()}/0", times_told=2)


def test_a_redis_in_use_is_refused_and_left_as_it_is(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("somebody's", "1")
    with pytest.raises(BrokerRefused, match="1 other keys"):
        accept(own_redis.url, times_told=0)
    with own_redis.client() as client:
        assert client.keys() == [b"somebody's"]


def test_an_empty_virtual_host_is_accepted(rabbit_url: str) -> None:
    given = accept(rabbit_url, times_told=0)

    assert given.kind == "rabbitmq"
    assert given.version.startswith(("3.", "4."))


def test_a_wrong_password_is_told_without_it(rabbit: RabbitAccess) -> None:
    url = f"amqp://guest:wrong@127.0.0.1:{rabbit.port}/"
    with pytest.raises(BrokerRefused, match="cannot be used") as refused:
        accept(url, times_told=0)
    assert "wrong" not in str(refused.value).replace("cannot be used", "")


def test_a_scenario_that_breaks_the_server_is_refused(
    own_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "--broker-url", own_redis.url, "--scenario", "18", "--results", str(tmp_path)])

    assert code == 2
    assert "scenario 18 is not for a redis of yours" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_two_ways_to_name_the_broker_are_refused(own_redis: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--broker", "rabbitmq", "--broker-url", own_redis.url]) == 2
    assert "leave --broker out" in capsys.readouterr().err
