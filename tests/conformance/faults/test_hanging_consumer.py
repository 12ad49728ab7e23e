"""A worker that could consume and does not is replaced, soon: timed, so nothing runs beside these tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.transports.base import Transport
from chaos.polling import poll_until
from tests.conformance.brokers import Lab
from tests.conformance.product_worker import HANGS, HeldTasks, ProductWorker, held_tasks
from tests.conformance.remote_control import tell_workers

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

HANGING = [("redis", "prefork"), ("rabbitmq", "prefork"), ("valkey", "threads"), ("valkey", "solo")]
REPLACED_WITHIN_SECONDS = 15.0


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
        tell_workers(lab.url, "conformance_hang")
        poll_until(lambda: "conformance hangs" in worker.log, within_seconds=20, what="the consumer hangs")
        names = tasks.publish(3, seconds=0)
        poll_until(lambda: any(map(tasks.ends, names)), within_seconds=60, what="the new worker serves")
        took = time.monotonic() - hung_at
        tasks.wait_ended(*names)

        with capsys.disabled():
            print(f"\n{lab.name}, {pool}: served again after {took:.1f} s of {REPLACED_WITHIN_SECONDS:g} s")  # noqa: T201
        assert HANGS in worker.log
        assert worker.process.running
        assert worker.times_ready() == 2
        assert took <= REPLACED_WITHIN_SECONDS
        assert [len(tasks.ends(name)) for name in names] == [1, 1, 1]


@pytest.mark.parametrize("lab", ["redis"], indirect=True)
def test_a_consumer_that_hangs_within_a_line_of_the_log_is_replaced_too(lab: Lab, tasks: HeldTasks) -> None:
    with ProductWorker("hung", url=lab.url, tasks=tasks, concurrency=2) as worker:
        tasks.wait_ended(*tasks.publish(seconds=0))
        tell_workers(lab.url, "conformance_hang", arguments={"while_logging": True})
        poll_until(lambda: "conformance hangs" in worker.log, within_seconds=20, what="the consumer hangs")

        tasks.wait_ended(*tasks.publish(3, seconds=0))

        assert HANGS in worker.log
        assert worker.times_ready() == 2
