"""Work of a worker that died or froze runs elsewhere in time, and work of a living one is left to it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.transports.base import Transport
from app.transports.lease.sweep import DOUBT_SECONDS, LEASE_SECONDS, SILENCE_SECONDS
from app.transports.rabbitmq_broker import HEARTBEAT_SECONDS
from chaos.polling import poll_until
from tests.conformance.brokers import Lab
from tests.conformance.product_worker import HeldTasks, ProductWorker, held_tasks
from tests.conformance.worker_pair import WAYS_TO_DIE, WorkerPair, replace_children

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

SHIPPED = (
    f"Redis {LEASE_SECONDS:g} s, silence {SILENCE_SECONDS:g} s, doubt {DOUBT_SECONDS:g} s;"
    f" RabbitMQ heartbeat {HEARTBEAT_SECONDS} s"
)
KINDS = ("redis", "valkey", "rabbitmq")
SEED = 20261124
KILLS = 20
KILLED_WITHIN_SECONDS = 5.0
FROZEN_WITHIN_SECONDS = 20.0
FREEZES = 3
LONG_TASK_SECONDS = 60.0
"""3 times the longest time after which a silent owner is given up: 18 s on RabbitMQ."""
POOLS = {"prefork": "default", "threads": "ingest", "solo": "batch"}


@pytest.fixture
def tasks(tmp_path: Path, transport: Transport) -> Iterator[HeldTasks]:
    with held_tasks(tmp_path, transport) as tasks:
        yield tasks


@pytest.mark.parametrize("lab", KINDS, indirect=True)
def test_what_a_killed_worker_held_starts_elsewhere_within_5_s(
    lab: Lab, tasks: HeldTasks, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    took: list[float] = []
    with WorkerPair(lab.url, tasks) as pair:
        for turn in range(KILLS):
            if turn % 4 >= 2:
                pair.finish(pair.occupy_victim())  # Celery ends a worker whose children die before its loop runs
                replace_children(pair.victim)
            name = pair.occupy_victim()
            _let_pass(moments.uniform(0, 0.5))
            died_at = time.monotonic()
            WAYS_TO_DIE[turn % len(WAYS_TO_DIE)](pair.victim)
            took.append(pair.seconds_until_taken_over(name, since=died_at))
            pair.finish(name)
            pair.victim.process.kill()
            pair.victim.start()
    _tell(capsys, f"{lab.name}: killed worker, seed {SEED}", took, bound=KILLED_WITHIN_SECONDS)
    assert max(took) <= KILLED_WITHIN_SECONDS
    assert lab.witness.count("default") == 0


@pytest.mark.parametrize("lab", KINDS, indirect=True)
def test_what_a_frozen_worker_held_starts_elsewhere_within_20_s_and_its_late_end_changes_nothing(
    lab: Lab, tasks: HeldTasks, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[float] = []
    with WorkerPair(lab.url, tasks) as pair:
        for _ in range(FREEZES):
            name = pair.occupy_victim()
            pair.victim.process.pause()
            froze_at = time.monotonic()
            took.append(pair.seconds_until_taken_over(name, since=froze_at))
            pair.victim.process.resume()
            tasks.release(name)
            tasks.wait_ended(name, times=2)
            pair.finish(pair.occupy_victim())  # awake, it serves again
    _tell(capsys, f"{lab.name}: frozen worker", took, bound=FROZEN_WITHIN_SECONDS)
    assert max(took) <= FROZEN_WITHIN_SECONDS
    assert lab.witness.count("default") == 0


@pytest.mark.parametrize("lab", KINDS, indirect=True)
def test_a_task_longer_than_any_patience_is_not_taken_over_in_any_pool(lab: Lab, tasks: HeldTasks) -> None:
    with ExitStack() as running:
        for pool, queue in POOLS.items():
            worker = ProductWorker(pool, url=lab.url, tasks=tasks, pool=pool, concurrency=1, queues=queue)
            running.enter_context(worker)
        names = {pool: tasks.publish(seconds=LONG_TASK_SECONDS, queue=queue)[0] for pool, queue in POOLS.items()}
        tasks.wait_started(*names.values())
        every_queue = ",".join(POOLS.values())
        running.enter_context(ProductWorker("taker", url=lab.url, tasks=tasks, concurrency=4, queues=every_queue))

        tasks.wait_ended(*names.values(), within_seconds=2 * LONG_TASK_SECONDS)

        later = [tasks.publish(seconds=0, queue=queue)[0] for queue in POOLS.values() for _ in range(4)]
        tasks.wait_ended(*later)
        starts = {pool: [note.worker for note in tasks.starts(name)] for pool, name in names.items()}
        assert starts == {pool: [pool] for pool in POOLS}


def _let_pass(seconds: float) -> None:
    """A seeded moment of a task's life."""
    until = time.monotonic() + seconds
    poll_until(lambda: time.monotonic() >= until, within_seconds=seconds + 1, every_seconds=0.005, what="the moment")


def _tell(capsys: pytest.CaptureFixture[str], what: str, took: list[float], *, bound: float) -> None:
    times = " ".join(f"{seconds:.2f}" for seconds in took)
    longest = f"longest {max(took):.2f} s of {bound:g} s"
    with capsys.disabled():
        print(f"\n{what}: started elsewhere after {times} s; {longest}; as shipped: {SHIPPED}")  # noqa: T201
