"""A worker that could consume and does not is replaced; one that has a reason to take nothing never is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app.tasks.watchdog import PATIENCE_SECONDS
from app.transports.base import Transport
from app.transports.registry import open_transport
from chaos.polling import poll_until
from tests.conformance.brokers import FragileLab, Lab
from tests.conformance.product_worker import HeldTasks, ProductWorker, held_tasks

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HANGING = [("redis", "prefork"), ("rabbitmq", "prefork"), ("valkey", "threads"), ("valkey", "solo")]
REPLACED_WITHIN_SECONDS = 15.0
LONGER_THAN_PATIENCE_SECONDS = 3 * PATIENCE_SECONDS
VERDICT = "the consumer hangs"


@pytest.fixture
def tasks(tmp_path: Path, transport: Transport) -> Iterator[HeldTasks]:
    with held_tasks(tmp_path, transport) as tasks:
        yield tasks


@pytest.mark.parametrize(("lab", "pool"), HANGING, indirect=["lab"])
def test_a_consumer_that_hangs_with_free_slots_is_replaced_within_15_s(
    lab: Lab, pool: str, tasks: HeldTasks, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProductWorker("hung", url=lab.url, tasks=tasks, pool=pool, concurrency=2) as worker:
        before = tasks.publish(seconds=0)
        tasks.wait_ended(*before)
        hung_at = time.monotonic()
        _command(lab.url, "conformance_hang")
        poll_until(lambda: "conformance hangs" in worker.log, within_seconds=20, what="the consumer hangs")
        names = tasks.publish(3, seconds=0)
        poll_until(lambda: any(map(tasks.ends, names)), within_seconds=60, what="the new worker serves")
        took = time.monotonic() - hung_at
        tasks.wait_ended(*names)

        with capsys.disabled():
            print(f"\n{lab.name}, {pool}: served again after {took:.1f} s of {REPLACED_WITHIN_SECONDS:g} s")  # noqa: T201
        assert VERDICT in worker.log
        assert worker.process.running
        assert worker.times_ready() == 2
        assert took <= REPLACED_WITHIN_SECONDS
        assert [len(tasks.ends(name)) for name in names] == [1, 1, 1]


@pytest.mark.parametrize("lab", ["redis"], indirect=True)
def test_a_consumer_that_hangs_within_a_line_of_the_log_is_replaced_too(lab: Lab, tasks: HeldTasks) -> None:
    with ProductWorker("hung", url=lab.url, tasks=tasks, concurrency=2) as worker:
        tasks.wait_ended(*tasks.publish(seconds=0))
        _command(lab.url, "conformance_hang", arguments={"while_logging": True})
        poll_until(lambda: "conformance hangs" in worker.log, within_seconds=20, what="the consumer hangs")

        tasks.wait_ended(*tasks.publish(3, seconds=0))

        assert VERDICT in worker.log
        assert worker.times_ready() == 2


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
            assert VERDICT not in worker.log


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
        assert VERDICT not in worker.log


def _is_paused(url: str) -> bool:
    """Told again each time: on Redis a worker that is just ready may not hear commands yet."""
    _command(url, "cancel_consumer", destination=["paused@test"], arguments={"queue": "batch"})
    return "batch" not in _reads(url, "paused@test")


def _command(url: str, name: str, *, destination: list[str] | None = None, arguments: Any = None) -> None:
    with closing(Celery(broker=url, set_as_current=False)) as celery:
        celery.control.broadcast(name, destination=destination, arguments=arguments or {})


def _reads(url: str, worker: str) -> list[str]:
    with closing(Celery(broker=url, set_as_current=False)) as celery:
        answer: Any = celery.control.inspect([worker]).active_queues() or {}
        return [queue["name"] for queue in answer.get(worker, [{"name": "batch"}])]


def _let_pass(seconds: float) -> None:
    until = time.monotonic() + seconds
    poll_until(lambda: time.monotonic() >= until, within_seconds=seconds + 1, what="the patience of a watchdog")
