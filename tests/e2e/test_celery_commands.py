"""`celery -A app.tasks.celery_app worker|beat|flower`: the commands an operator of Celery knows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from app.transports.base import QUEUES
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.processes import OwnedProcess
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.stack import ROOT, Stack
from tests.e2e.deployment import Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """API and relay are ours; worker, beat and Flower are started by Celery's own command."""
    with (
        RedisServer() as broker,
        ValkeyServer() as cache,
        Stack(
            database_url="",
            broker_url=broker.url,
            cache_url=cache.url,
            environment={"EMBEDDING_ENGINE": "hashing"},
            processes=("api", "relay"),
        ) as stack,
    ):
        yield stack


def celery(stack: Stack, tmp_path: Path, *arguments: str) -> OwnedProcess:
    return OwnedProcess(
        arguments[0],
        [sys.executable, "-m", "celery", "-A", "app.tasks.celery_app", *arguments],
        log=tmp_path / f"{arguments[0]}.log",
        environment={**stack.environment, "FLOWER_UNAUTHENTICATED_API": "true"},
        directory=ROOT,
    )


def test_a_worker_and_a_beat_of_celery_s_own_command_serve_every_queue(stack: Stack, tmp_path: Path) -> None:
    processes = [celery(stack, tmp_path, "worker", "-c", "2"), celery(stack, tmp_path, "beat", "--pidfile", "")]
    try:
        for process in processes:
            process.start()
        with closing(Client(stack.url)) as client:
            created = client.post("/resources", {"title": "Celery", "content": "Served by the stock command."})
            poll_until(
                lambda: client.found("stock command", mode="keyword") == [created["id"]] and client.has_converged(),
                within_seconds=60,
                what="the worker has done its work",
            )
            poll_until(
                lambda: all(
                    age is not None for age in stack.readiness()["parts"]["workers"]["canary_age_seconds"].values()
                ),
                within_seconds=60,
                what="beat's canaries came through every queue",
            )
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("url", ["redis://:open-sesame@host:port/0", "kafka://:open-sesame@host/0"])
def test_a_url_that_cannot_be_read_stops_celery_s_own_command_with_one_line(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "celery", "-A", "app.tasks.celery_app", "worker"]
    environment = {**os.environ, "BROKER_URL": url, "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("alexandria: BROKER_URL: ")
    assert "sesame" not in line


def test_flower_shows_the_queues(stack: Stack, tmp_path: Path) -> None:
    port = free_port()
    flower = celery(stack, tmp_path, "flower", f"--port={port}", "--address=127.0.0.1")
    flower.start()
    try:

        def answers() -> bool:
            try:
                return httpx2.get(f"http://127.0.0.1:{port}/healthcheck", trust_env=False, timeout=5).is_success
            except httpx2.HTTPError:
                return False

        poll_until(answers, within_seconds=60, what="Flower answers")
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/queues/length", trust_env=False, timeout=10)
        assert answer.is_success, answer.text
        assert {queue["name"] for queue in answer.json()["active_queues"]} >= set(QUEUES)
    finally:
        flower.kill()
