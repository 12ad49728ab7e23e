"""A broker that is set up wrongly: one clear line at start and in /readyz, no password, and everyone stays alive."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pika
import pytest

from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.rabbit import RabbitAccess
from chaos.servers.redis import RedisServer
from chaos.stack import Stack
from chaos.stack_process import StackProcess
from tests.command_line import alexandria
from tests.e2e.deployment import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PASSWORD = "open-sesame"
ROLES = ("api", "relay", "worker")
STAYS_ALIVE_SECONDS = 4.0

Trouble = Callable[[pytest.FixtureRequest], Iterator[str]]


def redis_with_another_password(_: pytest.FixtureRequest) -> Iterator[str]:
    with RedisServer() as server:
        yield f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"


def redis_that_nobody_runs(_: pytest.FixtureRequest) -> Iterator[str]:
    yield f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"


def redis_on_an_unknown_host(_: pytest.FixtureRequest) -> Iterator[str]:
    yield f"redis://:{PASSWORD}@no-such-host.invalid:6379/0"


def redis_without_that_database(request: pytest.FixtureRequest) -> Iterator[str]:
    server: RedisServer = request.getfixturevalue("redis_server")
    yield server.database_url(99)


def redis_that_says_nothing(_: pytest.FixtureRequest) -> Iterator[str]:
    with _silent_listener() as port:
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


def sentinel_that_nobody_runs(_: pytest.FixtureRequest) -> Iterator[str]:
    yield f"sentinel://:{PASSWORD}@127.0.0.1:{free_port()}/0?master_name=library"


def redis_that_evicts(_: pytest.FixtureRequest) -> Iterator[str]:
    with RedisServer(max_memory="50mb", eviction="allkeys-lru") as server:
        yield server.url


def redis_that_forgets(_: pytest.FixtureRequest) -> Iterator[str]:
    with RedisServer() as server, server.client() as client:
        client.config_set("appendonly", "no")
        yield server.url


def redis_as_a_cluster(_: pytest.FixtureRequest) -> Iterator[str]:
    with RedisServer(cluster=True) as server, server.client() as client:
        client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        poll_until(
            lambda: dict(client.execute_command("CLUSTER INFO"))["cluster_state"] == "ok",
            within_seconds=20,
            what="the cluster serves",
        )
        yield server.url


def redis_user_without_scripts(_: pytest.FixtureRequest) -> Iterator[str]:
    with RedisServer() as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-evalsha")
        yield f"redis://limited:{PASSWORD}@127.0.0.1:{server.port}/0"


def rabbitmq_with_another_password(request: pytest.FixtureRequest) -> Iterator[str]:
    rabbit: RabbitAccess = request.getfixturevalue("rabbit")
    yield f"amqp://alexandria:{PASSWORD}@127.0.0.1:{rabbit.port}/%2F"


def rabbitmq_that_nobody_runs(_: pytest.FixtureRequest) -> Iterator[str]:
    yield f"amqp://alexandria:{PASSWORD}@127.0.0.1:{free_port()}/%2F"


def rabbitmq_that_says_nothing(_: pytest.FixtureRequest) -> Iterator[str]:
    with _silent_listener() as port:
        yield f"amqp://alexandria:{PASSWORD}@127.0.0.1:{port}/%2F"


def rabbitmq_without_that_vhost(request: pytest.FixtureRequest) -> Iterator[str]:
    rabbit: RabbitAccess = request.getfixturevalue("rabbit")
    yield rabbit.amqp_url("nowhere")


def rabbitmq_with_other_arguments(request: pytest.FixtureRequest) -> Iterator[str]:
    url: str = request.getfixturevalue("rabbit_url")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    connection.channel().queue_declare("ingest", durable=True, arguments={"x-max-priority": 3})
    connection.close()
    yield url


TROUBLES: dict[str, tuple[Trouble, str]] = {
    "redis-password": (redis_with_another_password, "invalid username-password pair"),
    "redis-down": (redis_that_nobody_runs, "Connection refused"),
    "redis-host": (redis_on_an_unknown_host, "Name or service not known"),
    "redis-database": (redis_without_that_database, "DB index is out of range"),
    "redis-silent": (redis_that_says_nothing, "no answer before the deadline|Timeout reading from socket"),
    "sentinel-down": (sentinel_that_nobody_runs, "no Sentinel answers and names a living master"),
    "redis-evicts": (redis_that_evicts, "maxmemory-policy is allkeys-lru"),
    "redis-forgets": (redis_that_forgets, "the append-only file is off"),
    "redis-cluster": (redis_as_a_cluster, "Redis Cluster is not supported"),
    "redis-rights": (redis_user_without_scripts, "has no right to EVALSHA"),
    "rabbitmq-password": (rabbitmq_with_another_password, "refused"),
    "rabbitmq-down": (rabbitmq_that_nobody_runs, "Connection refused"),
    "rabbitmq-silent": (rabbitmq_that_says_nothing, "no answer before the deadline|timed out|Timeout"),
    "rabbitmq-vhost": (rabbitmq_without_that_vhost, "vhost nowhere not found"),
    "rabbitmq-arguments": (rabbitmq_with_other_arguments, "for queue 'ingest' in vhost"),
}


@pytest.mark.parametrize(("trouble", "words"), TROUBLES.values(), ids=TROUBLES)
def test_each_process_says_what_is_wrong_in_one_line_and_lives(
    trouble: Trouble, words: str, tmp_path: Path, redis_server: RedisServer, request: pytest.FixtureRequest
) -> None:
    with contextmanager(trouble)(request) as broker_url, _started(tmp_path, broker_url, redis_server) as stack:
        poll_until(lambda: _says(words, _broker_part(stack)), within_seconds=60, what="/readyz says what is wrong")
        for process in stack.processes.values():
            poll_until(lambda: _said(process, words), within_seconds=60, what=f"{process.name} says it")  # noqa: B023
        said_at = time.monotonic()
        poll_until(lambda: time.monotonic() - said_at > STAYS_ALIVE_SECONDS, within_seconds=60, what="some tries more")

        with closing(Client(stack.url)) as client:
            assert client.post("/resources", {"title": "t", "content": "c"})["id"]
        assert PASSWORD not in _broker_part(stack)
        for process in stack.processes.values():
            assert process.running, process.report()
            log = process.log.read_text()
            assert len(_said(process, words)) == 1, log
            assert "Traceback" not in log
            assert PASSWORD not in log
            assert redis_server.password not in log


@pytest.mark.parametrize("url", [f"redis://:{PASSWORD}@host:port/0", f"amqp://u:{PASSWORD}@[::1/", "redis://h/one"])
@pytest.mark.parametrize("command", [("api",), ("relay",), ("worker",), ("up",), ("broker", "topology")])
def test_a_url_that_cannot_be_read_stops_a_process_at_once_with_one_line(
    url: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    done = alexandria(*command, environment={"BROKER_URL": url, "DATA_DIR": str(tmp_path), "API_PORT": "0"})

    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("alexandria: BROKER_URL: ")
    assert PASSWORD not in done.stderr + done.stdout


@contextmanager
def _silent_listener() -> Iterator[int]:
    """A port that takes connections and answers nothing, as a host behind a firewall that drops packets seems to."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port: int = listener.getsockname()[1]
        yield port


@contextmanager
def _started(directory: Path, broker_url: str, cache: RedisServer) -> Iterator[Stack]:
    stack = Stack(
        database_url=f"sqlite:///{directory / 'library.sqlite3'}",
        broker_url=broker_url,
        cache_url=cache.database_url(2),
        environment={"EMBEDDING_ENGINE": "hashing"},
        processes=ROLES,
    )
    try:
        (stack.directory / "data").mkdir()
        stack.run_command("db", "upgrade")
        for process in stack.processes.values():
            process.start()
        yield stack
    except BaseException as error:
        error.add_note(stack.report())
        raise
    finally:
        stack.close()


def _broker_part(stack: Stack) -> str:
    return str(stack.readiness().get("parts", {}).get("broker", {}).get("detail", ""))


def _said(process: StackProcess, words: str) -> list[str]:
    return [line for line in process.log.read_text().splitlines() if _says(words, line)]


def _says(words: str, line: str) -> bool:
    """`words`: what is said, by drivers of several tongues: parts between bars are alternatives."""
    return any(one in line for one in words.split("|"))
