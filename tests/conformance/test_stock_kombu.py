"""A stock worker drains what we published, and we drain what stock published: the keys and messages are kombu's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu
import pytest
import redis
from celery import Celery
from kombu.transport.redis import Transport as StockTransport

from app.transports.base import PRIORITIES, Transport
from app.transports.lease.scripts import CLAIM
from app.transports.lease.sweep import STOCK_VISIBILITY_SECONDS
from chaos.polling import poll_until
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import WorkerMaker

pytestmark = pytest.mark.parametrize("lab", ["redis", "valkey"], indirect=True)

STOCK_APP = "tests.conformance.stock_app"
STOCK_STEPS = (0, 3, 6, 9)
DEAD_OWNERS_CLAIM = 3
PATIENT_SECONDS = 20.0


@pytest.fixture
def client(lab: Lab) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(lab.url, socket_timeout=5) as client:
        yield client


def test_a_stock_worker_drains_what_we_published_9_first(
    lab: Lab, transport: Transport, client: redis.Redis, start_worker: WorkerMaker
) -> None:
    waiting = _shuffled()
    transport.publish(messages(waiting), deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(lab.url, app=STOCK_APP)

    assert worker.notes(at_least=len(waiting)) == [f"p{priority}" for priority in sorted(waiting, reverse=True)]
    poll_until(lambda: _left(client) == set(), within_seconds=10, what="nothing is left")


def test_a_stock_worker_gives_back_what_a_dead_worker_of_ours_held_when_its_visibility_timeout_is_over(
    lab: Lab, transport: Transport, client: redis.Redis, start_worker: WorkerMaker
) -> None:
    transport.publish(messages([1, 5, 9, 0]), deadline_seconds=PATIENT_SECONDS)
    held = CLAIM.run(client.execute_command, "dead", 1, DEAD_OWNERS_CLAIM, 0, "default", 0)
    assert len(held) == 3 * DEAD_OWNERS_CLAIM
    long_ago = client.time()[0] - 2 * STOCK_VISIBILITY_SECONDS
    client.zadd("unacked_index", dict.fromkeys(held[1::3], long_ago))

    worker = start_worker(lab.url, app=STOCK_APP)

    assert sorted(worker.notes(at_least=4)) == ["p0", "p1", "p5", "p9"]
    poll_until(lambda: _left(client) == set(), within_seconds=10, what="nothing is left")


@pytest.mark.parametrize("steps", [STOCK_STEPS, tuple(PRIORITIES)], ids=["default-steps", "ten-steps"])
def test_we_drain_what_stock_published_in_the_order_of_stock(
    lab: Lab, transport: Transport, start_worker: WorkerMaker, steps: tuple[int, ...]
) -> None:
    waiting = _shuffled()
    with _stock(lab.url, steps) as publish:
        for priority in waiting:
            publish(f"p{priority}", priority)

    worker = start_worker(lab.url)

    in_order = sorted(waiting, key=lambda priority: max(step for step in steps if step <= priority))
    assert worker.notes(at_least=len(waiting)) == [f"p{priority}" for priority in in_order]
    poll_until(lambda: _is_empty(transport), within_seconds=10, what="every message is acknowledged")


def _shuffled() -> list[int]:
    waiting = list(PRIORITIES) * 2
    random.shuffle(waiting)
    return waiting


@contextmanager
def _stock(url: str, steps: tuple[int, ...]) -> Iterator[Any]:
    """Publishes as stock Celery does: any of its applications, on its own transport."""
    app = Celery("stock", set_as_current=False)
    options = {"priority_steps": list(steps)}
    with kombu.Connection(url, transport=StockTransport, transport_options=options) as connection:
        yield lambda what, priority: app.send_task(
            "conformance.note", (what,), queue="default", priority=priority, connection=connection
        )


def _left(client: redis.Redis) -> set[str]:
    """What still holds a message."""
    keys = {str(key, "ascii") if isinstance(key, bytes) else key for key in client.keys("*")}
    return {key for key in keys if key.startswith("default") or key == "unacked"}


def _is_empty(transport: Transport) -> bool:
    depth = transport.depths(deadline_seconds=PATIENT_SECONDS)["default"]
    return depth.ready == 0 and not depth.unacked
