"""A private server does what its name says, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pika
import pika.exceptions
import psutil
import psycopg2
import pytest
import redis
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from chaos.polling import poll_until
from chaos.processes import ProgramMissing
from chaos.servers.base import Server
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.servers.userland import ThisMachine

KINDS: list[type[Server]] = [RedisServer, ValkeyServer, PostgresServer, RabbitServer]
NEXT = "from chaos.directories import new_directory; new_directory('next').rmdir()"
SILENT = (redis.RedisError, psycopg2.Error, pika.exceptions.AMQPError, AMQPConnectorException)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as started:
        yield started


def remember(server: Server, value: str) -> None:
    """Store one value so that the server has promised to keep it."""
    if isinstance(server, RedisServer):
        with server.client() as client:
            client.set("kept", value)
            # While the disk is busy with an fsync, an answer may precede the write to the file by two seconds.
            poll_until(lambda: _nothing_waits_for(client), within_seconds=20, what="the file has what was answered")
    elif isinstance(server, PostgresServer):
        server.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        server.execute("DELETE FROM kept")
        server.execute(f"INSERT INTO kept VALUES ('{value}')")
    else:
        assert isinstance(server, RabbitServer)
        publish_durably(server.url, value)
        server.ctl("eval", "mnesia:sync_log().")  # what exists is written out a moment after it was made


def _nothing_waits_for(client: redis.Redis) -> bool:
    return bool(client.info("persistence")["aof_buffer_length"] == 0)


def recall(server: Server) -> str:
    """What was stored last, or an error of `SILENT` within three seconds."""
    if isinstance(server, RedisServer):
        with server.client() as client:
            return bytes(client.get("kept") or b"").decode()
    if isinstance(server, PostgresServer):
        with closing(psycopg2.connect(server.url, connect_timeout=2)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT value FROM kept")
            (value,) = cursor.fetchone() or ("",)
        return str(value)
    return take_one(server.url)


def open_rabbit(url: str) -> pika.BlockingConnection:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 2
    return pika.BlockingConnection(parameters)


def publish_durably(url: str, value: str) -> None:
    with closing(open_rabbit(url)) as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True)
        channel.queue_purge("kept")
        channel.confirm_delivery()
        channel.basic_publish("", "kept", value.encode(), pika.BasicProperties(delivery_mode=2))


def take_one(url: str) -> str:
    with closing(open_rabbit(url)) as connection:
        _method, _properties, body = connection.channel().basic_get("kept", auto_ack=True)
    return bytes(body or b"").decode()


def test_it_answers_a_client_with_its_password_only(server: Server) -> None:
    remember(server, "first")
    assert recall(server) == "first"
    wrong = server.url.replace(server.url.rsplit("@", maxsplit=1)[0].rsplit(":", maxsplit=1)[1], "wrong")
    with pytest.raises(SILENT):
        open_with(server, wrong)


def open_with(server: Server, url: str) -> None:
    if isinstance(server, RedisServer):
        with redis.Redis.from_url(url) as client:
            client.ping()
    elif isinstance(server, PostgresServer):
        psycopg2.connect(url).close()
    else:
        open_rabbit(url).close()


def test_it_keeps_port_and_data_over_a_clean_restart(server: Server) -> None:
    url, pid = server.url, server.pid
    remember(server, "over a restart")
    server.restart()
    assert server.url == url
    assert server.pid != pid
    assert recall(server) == "over a restart"


def test_it_keeps_port_and_data_over_sigkill(server: Server) -> None:
    url = server.url
    remember(server, "over a kill")
    server.kill()
    assert server.process.exit_code == -signal.SIGKILL
    with pytest.raises(SILENT):
        recall(server)
    server.start()
    assert server.url == url
    assert recall(server) == "over a kill"


def test_a_paused_server_is_silent_and_goes_on_when_resumed(server: Server) -> None:
    remember(server, "over a pause")
    server.pause()
    try:
        with pytest.raises(SILENT):
            recall(server)
    finally:
        server.resume()
    assert recall(server) == "over a pause"


@pytest.mark.parametrize("kind", [RedisServer, PostgresServer])
def test_two_of_a_kind_do_not_meet(kind: type[Server]) -> None:
    with kind() as one, kind() as other:
        remember(one, "one")
        remember(other, "other")
        assert (recall(one), recall(other)) == ("one", "other")


def test_closing_removes_its_data_and_processes() -> None:
    with RedisServer() as server:
        pid, directory = server.pid, server.directory
    assert not psutil.pid_exists(pid)
    assert not directory.exists()


def test_a_missing_program_is_one_line_that_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match=r"^redis-server is not installed: apt-get install redis-server$"):
        RedisServer(userland=ThisMachine()).start()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_when_its_owner_is_killed_the_kernel_ends_every_process_of_it_and_whoever_comes_next_removes_its_data(
    kind: type[Server],
) -> None:
    program = (
        f"import signal, sys; from {kind.__module__} import {kind.__name__} as Kind; server = Kind(); server.start();"
        "print(server.pid, server.directory, flush=True); signal.pause()"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid, directory = owner.stdout.readline().split()
    family = [*psutil.Process(owner.pid).children(recursive=True)]
    owner.kill()
    owner.wait(timeout=10)
    owner.stdout.close()
    assert int(pid) in {member.pid for member in family}
    poll_until(lambda: not any(map(_alive, family)), within_seconds=10, what=f"no orphan in {family}")
    assert Path(directory).exists()
    subprocess.run([sys.executable, "-c", NEXT], check=True)
    assert not Path(directory).exists()


def _alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def fill(client: redis.Redis) -> None:
    for number in range(100):
        client.set(f"filler-{number}", os.urandom(100_000))


def test_the_most_memory_is_a_limit_that_refuses_and_evicts_nothing() -> None:
    with RedisServer(max_memory="5mb") as server, server.client() as client:
        remember(server, "before the limit")
        with pytest.raises(redis.OutOfMemoryError):
            fill(client)
        assert recall(server) == "before the limit"


def test_a_wiped_server_comes_back_empty() -> None:
    with RedisServer() as server:
        remember(server, "gone")
        server.kill()
        server.wipe()
        server.start()
        assert recall(server) == ""
