"""A supervisor that is stopped, and one that is killed: nothing is left behind and nothing is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis

from app.errors import StartRefused
from app.supervision.run_state import only_supervisor
from chaos.polling import poll_until

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    process: subprocess.Popen[str]
    url: str
    everyone: tuple[psutil.Process, ...]

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)


@contextmanager
def supervised(data_dir: Path) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.supervision.supervised_valkey", str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        everyone = tuple(psutil.Process(process.pid).children(recursive=True))
        assert {one.pid for one in everyone} >= set(said["pids"])
        yield Running(process=process, url=said["url"], everyone=everyone)
    finally:
        process.kill()
        process.communicate()


def all_gone(processes: tuple[psutil.Process, ...]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_killing_the_supervisor_leaves_no_orphan_and_loses_no_accepted_write(tmp_path: Path) -> None:
    with supervised(tmp_path) as first:
        with first.client() as client:
            client.rpush("default", *range(1000))
        first.process.kill()
        poll_until(lambda: all_gone(first.everyone), within_seconds=5, what="no orphan")

    with supervised(tmp_path) as second, second.client() as client:
        assert client.llen("default") == 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_ends_it_with_0_and_without_a_traceback(tmp_path: Path, number: signal.Signals) -> None:
    with supervised(tmp_path) as running:
        running.process.send_signal(number)
        _, errors = running.process.communicate(timeout=20)

        assert running.process.returncode == 0
        assert "Traceback" not in errors
        assert all_gone(running.everyone)


def test_a_second_start_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        with pytest.raises(StartRefused) as refusal, only_supervisor(tmp_path):
            pass

        pid = running.process.pid
        assert refusal.value.detail == f"already running: process {pid} at http://127.0.0.1:1 uses {tmp_path}"


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        running.process.kill()
        running.process.wait(timeout=5)

        with only_supervisor(tmp_path):  # its children may still be dying: they hold no lock
            pass


def test_a_server_that_is_killed_comes_back_at_its_address_with_its_data(tmp_path: Path) -> None:
    with supervised(tmp_path) as running:
        with running.client() as client:
            client.set("key", "value")
            server = psutil.Process(client.info("server")["process_id"])
        server.kill()

        def value() -> object:
            try:
                with running.client() as client:
                    return client.get("key")
            except redis.ConnectionError:
                return None

        assert poll_until(value, within_seconds=10, what="the server is back") == b"value"
