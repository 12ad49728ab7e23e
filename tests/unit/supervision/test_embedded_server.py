"""The private Valkey server: closed to others, configured for its purpose, alone on its data."""

from __future__ import annotations

import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from app.errors import StartRefused
from app.supervision.embedded_server import BROKER_OPTIONS, CACHE_OPTIONS, EmbeddedServer, embedded_server
from chaos.polling import poll_until


@contextmanager
def running(server: EmbeddedServer) -> Iterator[subprocess.Popen[bytes]]:
    spec = server.spec({"PATH": "/usr/bin:/bin"})
    process = subprocess.Popen(spec.command, env=dict(spec.environment), pass_fds=spec.inherited_files)
    try:
        poll_until(server.answers, within_seconds=10, what="the server answers")
        yield process
    finally:
        process.kill()
        process.wait()


def server_client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (BROKER_OPTIONS, {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}),
        (CACHE_OPTIONS, {"appendonly": "no", "maxmemory": str(128 << 20), "maxmemory-policy": "allkeys-lfu"}),
    ],
)
def test_it_runs_as_its_purpose_asks(tmp_path: Path, options: Mapping[str, str], expected: dict[str, str]) -> None:
    with (
        embedded_server("server", data_dir=tmp_path, options=options) as server,
        running(server),
        server_client(server) as client,
    ):
        configuration = client.config_get()

    assert {name: configuration[name] for name in expected} == expected
    assert configuration["bind"] == "127.0.0.1"
    assert configuration["save"] == ""


def test_it_comes_back_on_its_port_unless_another_has_taken_it(tmp_path: Path) -> None:
    def port_of_a_run() -> int:
        with embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server, running(server):
            return server.port

    first, second = port_of_a_run(), port_of_a_run()
    with socket.create_server(("127.0.0.1", first)):
        third = port_of_a_run()

    assert first == second
    assert third != first


def test_it_answers_nobody_without_the_password(tmp_path: Path) -> None:
    with (
        embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server,
        running(server),
        redis.Redis(host="127.0.0.1", port=server.port) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_the_password_is_on_no_command_line_and_in_no_file_that_others_can_read(tmp_path: Path) -> None:
    with embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server, running(server) as process:
        command_line = " ".join(psutil.Process(process.pid).cmdline())
        holding = [
            file for file in tmp_path.rglob("*") if file.is_file() and server.password.encode() in file.read_bytes()
        ]

        assert server.password not in command_line
        assert server.password not in repr(server)
        assert [stat.S_IMODE(file.stat().st_mode) for file in holding] == [0o600]


def test_each_start_has_a_password_of_its_own(tmp_path: Path) -> None:
    passwords = set()
    for _ in range(2):
        with embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server:
            passwords.add(server.password)

    assert len(passwords) == 2


def test_a_directory_with_spaces_and_quotes_in_its_name_works(tmp_path: Path) -> None:
    odd = tmp_path / 'my "own" data'
    with (
        embedded_server("broker", data_dir=odd, options=BROKER_OPTIONS) as server,
        running(server),
        server_client(server) as client,
    ):
        assert client.config_get("dir")["dir"] == str(odd / "broker")


def test_its_data_wait_for_a_server_that_outlived_its_supervisor(tmp_path: Path) -> None:
    with embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server:
        spec = server.spec({"PATH": "/usr/bin:/bin"})
        survivor = subprocess.Popen(spec.command, env=dict(spec.environment), pass_fds=spec.inherited_files)
    try:
        with (
            pytest.raises(StartRefused, match="another server still uses"),
            embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS),
        ):
            pass
    finally:
        survivor.kill()
        survivor.wait()

    with embedded_server("broker", data_dir=tmp_path, options=BROKER_OPTIONS) as server, running(server):
        pass
