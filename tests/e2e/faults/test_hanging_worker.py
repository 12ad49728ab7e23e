"""A worker whose main thread hangs starts anew under its own pid, alone on a console and under `alexandria up`.

It hangs at a breakpoint that Celery sets at SIGUSR2 (its remote debugger, `CELERY_RDBSIG`), and nobody connects to it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from chaos.polling import poll_until
from chaos.stack import Stack
from tests.e2e.deployment import Deployment
from tests.e2e.embedded_stack import embedded_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

REPLACED_WITHIN_SECONDS = 15.0
VERDICT = "the consumer hangs"


@pytest.mark.parametrize("deployment", ["postgresql-rabbitmq"], indirect=True, scope="module")
def test_a_bare_worker_that_hangs_becomes_a_new_one(deployment: Deployment) -> None:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        environment={"EMBEDDING_ENGINE": "hashing", "CELERY_RDBSIG": "1"},
    ) as stack:
        log = stack.directory / "worker.log"
        pid = stack.worker.pid
        os.kill(pid, signal.SIGUSR2)
        hung_at = time.monotonic()
        poll_until(lambda: log.read_text().count("ready.") == 2, within_seconds=60, what="it is ready again")
        took = time.monotonic() - hung_at

        assert VERDICT in log.read_text()
        assert stack.worker.pid == pid
        assert stack.worker.running
        assert took <= REPLACED_WITHIN_SECONDS
        poll_until(
            lambda: _canary_age(stack.readiness()) < time.monotonic() - hung_at - took,
            within_seconds=60,
            what="a canary came back through the new worker",
        )


def test_a_worker_of_up_that_hangs_becomes_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RDBSIG", "1")
    monkeypatch.setenv("EMBEDDING_ENGINE", "hashing")
    log = tmp_path / "up.log"
    with embedded_stack(tmp_path / "data", log=log) as stack:
        worker = stack.child("worker")
        assert worker is not None
        worker.send_signal(signal.SIGUSR2)
        hung_at = time.monotonic()
        poll_until(lambda: VERDICT in log.read_text(), within_seconds=60, what="it is found to hang")
        poll_until(
            lambda: _canary_age(stack.readiness()) < time.monotonic() - hung_at - REPLACED_WITHIN_SECONDS,
            within_seconds=60,
            what="a canary came back through the new worker",
        )
        assert worker.is_running()
        assert worker.cmdline()[4:7] == ["worker", "--queues", "default,ingest,batch"]
        assert stack.stop() == 0


def _canary_age(readiness: dict[str, dict[str, dict[str, dict[str, float | None]]]]) -> float:
    age = readiness.get("parts", {}).get("workers", {}).get("canary_age_seconds", {}).get("default")
    return float("inf") if age is None else age
