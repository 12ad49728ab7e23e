"""`alexandria-chaos run --broker-url`: what it refuses to touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.command import main
from chaos.given_broker import BrokerRefused, accept
from chaos.ports import free_port
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer


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
    ],
)
def test_an_address_that_must_not_or_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(BrokerRefused, match=why) as refused:
        accept(url, times_told=1)
    assert "secret" not in str(refused.value)


def test_a_broker_elsewhere_is_asked_only_when_told_twice() -> None:
    with pytest.raises(BrokerRefused, match="cannot be used"):  # 192.0.2.0/24 is nobody's
        accept(f"redis://localhost.invalid:{free_port()}/0", times_told=2)


def test_a_redis_in_use_is_refused_and_left_as_it_is(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("somebody's", "1")
        with pytest.raises(BrokerRefused, match="1 other keys"):
            accept(own_redis.url, times_told=0)
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
