"""A stock Celery worker, configured from `broker_for` alone, takes what we publish."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
import redis

from app.transports.base import PRIORITIES, Transport
from chaos.polling import poll_until
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import WorkerMaker
from tests.conformance.workers import Worker

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


def test_a_full_queue_of_urgent_messages_starves_no_other(
    lab: Lab, transport: Transport, start_worker: WorkerMaker
) -> None:
    full = messages([9] * 100, queue="default")
    transport.publish(full + messages([0] * 3, queue="ingest"), deadline_seconds=PATIENT_SECONDS)

    worker = start_worker(lab.url, queues="default,ingest")

    notes = worker.notes(at_least=len(full) + 3)
    served_after = [place for place, note in enumerate(notes) if note == "p0"]
    assert served_after[-1] < len(full) / 2, notes


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


MALFORMED: dict[str, tuple[dict[str, Any], Any]] = {
    "unknown task without an id": ({"task": "make_tea"}, [[], {}, {}]),
    "known task without an id": ({"task": "conformance.note"}, [[], {}, {}]),
    "no arguments": ({"task": "conformance.note", "id": "1"}, []),
    "arguments of another kind": ({"task": "conformance.note", "id": "1"}, "text"),
    "a task that is a list": ({"task": [], "id": "1"}, [[], {}, {}]),
    "neither headers nor a task": ({}, {"nothing": "known"}),
    "a body of the first protocol without an id": ({}, {"task": "conformance.note"}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_message_that_no_task_can_be_made_of_ends_in_the_dead_letters_and_ends_no_worker(
    lab: Lab, transport: Transport, start_worker: WorkerMaker, name: str
) -> None:
    headers, body = MALFORMED[name]
    if lab.name == "rabbitmq":
        lab.witness.put(
            "default",
            json.dumps(body).encode(),
            headers=headers,
            content_type="application/json",
            content_encoding="utf-8",
        )
    else:
        lab.witness.put("default", _envelope(headers, body))

    _the_worker_lives_on(start_worker(lab.url), transport)


@pytest.mark.parametrize("lab", ["redis", "valkey"], indirect=True)
@pytest.mark.parametrize("headers", ['"x"', "[1]", '{"a":' * 960 + "1" + "}" * 960, "17"])
def test_headers_that_are_none_end_in_the_dead_letters_and_end_no_worker(
    lab: Lab, transport: Transport, start_worker: WorkerMaker, headers: str
) -> None:
    raw = _envelope({}, [[], {}, {}]).replace(b'"headers": {}', b'"headers": ' + headers.encode())
    lab.witness.put("default", raw)

    _the_worker_lives_on(start_worker(lab.url), transport)


def _envelope(headers: dict[str, Any], body: Any) -> bytes:
    """An element of a queue on Redis."""
    return json.dumps(
        {
            "headers": headers,
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "properties": {"delivery_tag": "bad", "body_encoding": "base64"},
        }
    ).encode()


def _the_worker_lives_on(worker: Worker, transport: Transport) -> None:
    """It serves the next message, the bad one is a dead letter, and nothing is held."""
    transport.publish(messages([5]), deadline_seconds=PATIENT_SECONDS)
    assert worker.notes(at_least=1) == ["p5"]
    poll_until(
        lambda: transport.depths(deadline_seconds=PATIENT_SECONDS)["default"].dead == 1,
        within_seconds=10,
        what="it is a dead letter",
    )
    poll_until(lambda: _all_gone(transport), within_seconds=10, what="nothing is held")
    assert worker.process.running


def _all_gone(transport: Transport) -> bool:
    depth = transport.depths(deadline_seconds=PATIENT_SECONDS)["default"]
    return depth.ready == 0 and not depth.unacked
