"""A worker that takes one message at a time fills its last free slot, whatever its other slots are busy with."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.transports.base import Transport
from tests.conformance.brokers import Lab
from tests.conformance.product_worker import ProductWorker, held_tasks

SLOTS = 4
"""From this many on, half of a window of one message a slot is more than one slot."""


@pytest.mark.parametrize("lab", ["redis", "rabbitmq"], indirect=True)
def test_the_last_free_slot_is_filled_while_long_tasks_hold_the_others(
    lab: Lab, transport: Transport, tmp_path: Path
) -> None:
    with (
        held_tasks(tmp_path, transport) as tasks,
        ProductWorker("worker", url=lab.url, tasks=tasks, concurrency=SLOTS) as worker,
    ):
        long = tasks.publish(SLOTS - 1)
        tasks.wait_started(*long)

        short = tasks.publish(3, seconds=0)
        tasks.wait_ended(*short)

        assert worker.times_ready() == 1, "the watchdog took it for one that hangs"
        assert [len(tasks.starts(name)) for name in long] == [1] * len(long)
        tasks.release(*long)
        tasks.wait_ended(*long)
