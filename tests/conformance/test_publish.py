"""A published message is where it should be, as it should be, or the caller knows better."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from app.transports.base import PRIORITIES, QUEUES, Message, Outcome, QueueDepth, Transport
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import TransportMaker

PATIENT_SECONDS = 20.0


def all_accepted(outcomes: list[Outcome]) -> bool:
    return bool(outcomes) and all(outcome.accepted for outcome in outcomes)


@pytest.mark.parametrize("queue", QUEUES)
def test_a_message_of_each_priority_is_in_the_queue_it_names_at_its_place(
    lab: Lab, transport: Transport, queue: str
) -> None:
    sent = messages(random.sample(PRIORITIES, k=10), queue=queue)

    assert all_accepted(transport.publish(sent, deadline_seconds=PATIENT_SECONDS))

    seen = lab.witness.take_all(queue)
    assert [message.args for message in seen] == [[f"p{priority}"] for priority in reversed(PRIORITIES)]
    assert [message.place for message in seen] == list(range(10))
    assert {message.call_id for message in seen} == {str(message.call_id) for message in sent}
    assert [lab.witness.count(other) for other in QUEUES] == [0, 0, 0, 0]


def test_inside_one_priority_the_first_published_is_served_first(lab: Lab, transport: Transport) -> None:
    sent = messages([5] * 20)

    transport.publish(sent, deadline_seconds=PATIENT_SECONDS)

    assert [seen.call_id for seen in lab.witness.take_all("default")] == [str(message.call_id) for message in sent]


def test_a_message_arrives_with_its_arguments_headers_and_generation(lab: Lab, transport: Transport) -> None:
    message = Message(
        call_id=UUID("01890000-0000-7000-8000-000000000001"),
        task="conformance.note",
        args=("naïve and 文字 \N{OWL}", 1, None, [True, {"a": 1.5}]),
        kwargs={"key": "value"},
        queue="ingest",
        priority=9,
        generation=3,
        headers={"correlation_id": "c-1", "causation_id": "e-1"},
    )

    assert all_accepted(transport.publish([message], deadline_seconds=PATIENT_SECONDS))

    (seen,) = lab.witness.take_all("ingest")
    assert seen.task == "conformance.note"
    assert seen.args == ["naïve and 文字 \N{OWL}", 1, None, [True, {"a": 1.5}]]
    assert seen.kwargs == {"key": "value"}
    expected = {"id": str(message.call_id), "root_id": str(message.call_id), "lang": "py", "retries": 0}
    expected |= {"generation": 3, "correlation_id": "c-1", "causation_id": "e-1"}
    assert {name: seen.headers[name] for name in expected} == expected
    assert seen.properties["delivery_mode"] == 2
    assert seen.properties["correlation_id"] == str(message.call_id)


def test_what_is_not_plain_json_is_refused_for_good_and_holds_up_nothing_else(lab: Lab, transport: Transport) -> None:
    good, late = messages([1, 2])
    bad = [
        Message(call_id=uuid4(), task="conformance.note", args=(value,), queue="default")
        for value in (object(), b"bytes", float("nan"), {1, 2}, "\ud800")
    ]
    bad.append(Message(call_id=uuid4(), task="conformance.note", queue="default", headers={"x": object()}))

    first, *refused, last = transport.publish([good, *bad, late], deadline_seconds=PATIENT_SECONDS)

    assert first.accepted
    assert last.accepted
    assert all(outcome.refused and outcome.permanent and "JSON" in outcome.reason for outcome in refused)
    assert lab.witness.count("default") == 2


def test_a_queue_that_does_not_exist_is_an_error_and_not_a_silence(lab: Lab, transport: Transport) -> None:
    known, (unroutable,) = messages(), messages(queue="nowhere")

    outcomes = transport.publish([*known, unroutable], deadline_seconds=PATIENT_SECONDS)

    assert outcomes[0].accepted
    assert outcomes[1].refused
    assert "nowhere" in outcomes[1].reason
    assert lab.witness.count("default") == 1


def test_a_large_batch_with_large_messages_arrives_whole(lab: Lab, transport: Transport) -> None:
    sent = [
        Message(call_id=uuid4(), task="conformance.note", args=("x" * size,), queue="batch", priority=size % 10)
        for size in [1, 10_000, 300_000] * 100
    ]

    assert all_accepted(transport.publish(sent, deadline_seconds=PATIENT_SECONDS))

    seen = {message.call_id: len(message.args[0]) for message in lab.witness.take_all("batch")}
    assert seen == {str(message.call_id): len(message.args[0]) for message in sent}


def test_an_empty_batch_has_no_outcomes(transport: Transport) -> None:
    assert transport.publish([], deadline_seconds=1) == []


def test_threads_share_one_transport(lab: Lab, transport: Transport) -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = [messages([5] * 25) for _ in range(8)]
        published = list(pool.map(lambda batch: transport.publish(batch, deadline_seconds=PATIENT_SECONDS), batches))

    assert all(all_accepted(outcomes) for outcomes in published)
    assert lab.witness.count("default") == 200


def test_declaring_twice_and_from_another_transport_is_quiet(
    lab: Lab, transport: Transport, transport_to: TransportMaker
) -> None:
    transport.declare(deadline_seconds=PATIENT_SECONDS)
    transport_to(lab.url).declare(deadline_seconds=PATIENT_SECONDS)

    assert all_accepted(transport.publish(messages(), deadline_seconds=PATIENT_SECONDS))


def test_depths_are_those_another_client_counts(lab: Lab, transport: Transport) -> None:
    transport.publish(messages(PRIORITIES) + messages([0, 9], queue="batch"), deadline_seconds=PATIENT_SECONDS)

    depths = transport.depths(deadline_seconds=PATIENT_SECONDS)

    assert {queue: depth.ready for queue, depth in depths.items()} == {
        queue: lab.witness.count(queue) for queue in QUEUES
    }
    assert depths["default"].ready == 10
    assert {depth.dead for depth in depths.values()} == {0}


def test_a_queue_that_does_not_exist_has_no_messages(transport: Transport) -> None:
    depths = transport.depths(("nowhere", "default"), deadline_seconds=PATIENT_SECONDS)

    assert (depths["nowhere"].ready, depths["nowhere"].dead) == (0, 0)
    assert set(depths) == {"nowhere", "default"}


def test_a_healthy_broker_has_nothing_to_complain_of(transport: Transport) -> None:
    assert transport.health(deadline_seconds=PATIENT_SECONDS) == ()


def test_closing_twice_is_quiet_and_a_later_call_opens_again(lab: Lab, transport: Transport) -> None:
    transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)
    transport.close()
    transport.close()

    assert all_accepted(transport.publish(messages(), deadline_seconds=PATIENT_SECONDS))
    assert lab.witness.count("default") == 2


def test_a_depth_of_nothing_is_zero() -> None:
    assert QueueDepth() == QueueDepth(ready=0, unacked=None, dead=0)
