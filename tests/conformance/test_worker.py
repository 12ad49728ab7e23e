"""A stock Celery worker, configured from `broker_for` alone, takes what we publish."""

from __future__ import annotations

import random

import pytest
import redis

from app.transports.base import PRIORITIES, Transport
from chaos.polling import poll_until
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import WorkerMaker

PATIENT_SECONDS = 20.0


def test_a_worker_serves_9_first_and_0_last_and_starts_quietly(
    lab: Lab, transport: Transport, start_worker: WorkerMaker
) -> None:
    waiting = list(PRIORITIES) * 3
    random.shuffle(waiting)
    transport.publish(messages(waiting), deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(lab.url)

    notes = worker.notes(at_least=len(waiting))
    assert notes == [f"p{priority}" for priority in sorted(waiting, reverse=True)]
    poll_until(lambda: _all_gone(transport), within_seconds=10, what="every message is acknowledged")
    assert not [line for line in worker.log.splitlines() if "ERROR" in line or "Traceback" in line]


def test_a_worker_reads_only_the_queues_it_was_given(lab: Lab, transport: Transport, start_worker: WorkerMaker) -> None:
    transport.publish(messages([1], queue="ml_tasks") + messages([2], queue="ingest"), deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(lab.url, queues="ingest,batch")

    assert worker.notes(at_least=1) == ["p2"]
    assert lab.witness.count("ml_tasks") == 1


@pytest.mark.parametrize("lab", ["redis", "valkey"], indirect=True)
@pytest.mark.parametrize("body", [b"\xff\xfe", b"no base64"], ids=["no-utf-8", "no-base64"])
def test_a_body_that_cannot_be_read_ends_in_the_dead_letters_and_ends_no_worker(
    lab: Lab, transport: Transport, start_worker: WorkerMaker, body: bytes
) -> None:
    encoding = b'{"delivery_tag": "bad", "body_encoding": "base64"}'
    bad = b'{"headers": {}, "body": "' + body + b'", "properties": ' + encoding + b"}"
    with redis.Redis.from_url(lab.url) as client:
        client.lpush("default", bad)
        worker = start_worker(lab.url)
        transport.publish(messages([5]), deadline_seconds=PATIENT_SECONDS)

        assert worker.notes(at_least=1) == ["p5"]
        poll_until(lambda: client.llen("default.dead") == 1, within_seconds=10, what="it is a dead letter")
        assert bytes(client.lindex("default.dead", 0) or b"").endswith(bad)


def _all_gone(transport: Transport) -> bool:
    depth = transport.depths(deadline_seconds=PATIENT_SECONDS)["default"]
    return depth.ready == 0 and not depth.unacked
