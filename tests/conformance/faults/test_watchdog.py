"""A worker that has a reason to take nothing is not replaced, however long it takes none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.tasks.watchdog import PATIENCE_SECONDS
from app.transports.base import Transport
from app.transports.registry import open_transport
from chaos.polling import poll_until
from tests.conformance.brokers import FragileLab, Lab
from tests.conformance.product_worker import HANGS, HeldTasks, ProductWorker, held_tasks
from tests.conformance.remote_control import queues_of, tell_workers

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

LONGER_THAN_PATIENCE_SECONDS = 3 * PATIENCE_SECONDS


@pytest.fixture
def tasks(tmp_path: Path, transport: Transport) -> Iterator[HeldTasks]:
    with held_tasks(tmp_path, transport) as tasks:
        yield tasks


def test_a_worker_that_is_busy_paused_or_has_nothing_to_do_is_left_alone(lab: Lab, tasks: HeldTasks) -> None:
    full = {"WORKER_PREFETCH_MULTIPLIER": "2"}
    with (
        ProductWorker("busy", url=lab.url, tasks=tasks, concurrency=1, queues="default", environment=full) as busy,
        ProductWorker("solo", url=lab.url, tasks=tasks, pool="solo", queues="ml_tasks", environment=full) as solo,
        ProductWorker("idle", url=lab.url, tasks=tasks, concurrency=1, queues="ingest") as idle,
        ProductWorker("paused", url=lab.url, tasks=tasks, concurrency=1, queues="batch") as paused,
    ):
        poll_until(lambda: _is_paused(lab.url), within_seconds=30, what="batch is paused")
        busy_with = [tasks.publish(seconds=600, queue=queue)[0] for queue in ("default", "ml_tasks")]
        tasks.wait_started(*busy_with)
        behind = [name for queue in ("default", "ml_tasks") for name in tasks.publish(6, seconds=0, queue=queue)]
        unread = tasks.publish(2, seconds=0, queue="batch")

        _let_pass(LONGER_THAN_PATIENCE_SECONDS)

        assert not tasks.starts(unread[0])
        tasks.release(*busy_with)
        tasks.wait_ended(*busy_with, *behind)
        for worker in (busy, solo, idle, paused):
            assert worker.times_ready() == 1
            assert HANGS not in worker.log


def test_a_worker_is_left_alone_while_its_broker_is_down(fragile: FragileLab, tmp_path: Path) -> None:
    with (
        closing(open_transport(fragile.url)) as transport,
        held_tasks(tmp_path, transport) as tasks,
        ProductWorker("cut-off", url=fragile.url, tasks=tasks, concurrency=2) as worker,
    ):
        fragile.server.kill()
        _let_pass(LONGER_THAN_PATIENCE_SECONDS)
        fragile.server.start()

        tasks.wait_ended(*tasks.publish(seconds=0))
        assert worker.times_ready() == 1
        assert HANGS not in worker.log


def _is_paused(url: str) -> bool:
    """Told again each time: on Redis a worker that is just ready may not hear commands yet."""
    tell_workers(url, "cancel_consumer", destination=["paused@test"], arguments={"queue": "batch"})
    queues = queues_of(url, "paused@test")
    return queues is not None and "batch" not in queues


def _let_pass(seconds: float) -> None:
    until = time.monotonic() + seconds
    poll_until(lambda: time.monotonic() >= until, within_seconds=seconds + 1, what="the patience of a watchdog")
