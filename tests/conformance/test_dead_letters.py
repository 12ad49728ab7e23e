"""Dead messages are taken from every broker in the same words, and leave it only once they are settled."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from uuid import uuid4

from app.transports.base import PRIORITIES, QUEUES, DeadMessage, Message, Transport
from chaos.polling import poll_until
from tests.conformance.brokers import Lab, messages
from tests.conformance.conftest import TransportMaker

PATIENT_SECONDS = 20.0


def published(transport: Transport, sent: list[Message]) -> None:
    assert all(outcome.accepted for outcome in transport.publish(sent, deadline_seconds=PATIENT_SECONDS))


def taken(transport: Transport, *, at_least: int = 1, limit: int = 100) -> list[DeadMessage]:
    """What is taken once so many are there: what a lost connection held comes back in its own time."""
    return poll_until(
        lambda: found if len(found := transport.take_dead(limit=limit, deadline_seconds=5)) >= at_least else [],
        within_seconds=PATIENT_SECONDS,
        what=f"{at_least} dead messages",
    )


def forget(transport: Transport, dead: list[DeadMessage]) -> int:
    return transport.forget_dead(dead, deadline_seconds=PATIENT_SECONDS)


def test_a_dead_message_says_what_it_was_why_it_died_and_when(lab: Lab, transport: Transport) -> None:
    sent = Message(
        call_id=uuid4(),
        task="conformance.note",
        args=("a", 1, {"b": None}),
        kwargs={"c": "ü"},
        queue="ingest",
        priority=7,
        generation=3,
        headers={"correlation_id": "why"},
    )
    published(transport, [sent])
    lab.witness.let_die("ingest")

    [dead] = taken(transport)

    assert (dead.queue, dead.task, dead.message_id) == ("ingest", "conformance.note", str(sent.call_id))
    assert (dead.generation, dead.priority, dead.args, dead.kwargs) == (3, 7, ["a", 1, {"b": None}], {"c": "ü"})
    assert (dead.reason, dead.count) == ("rejected", 1)
    assert dead.died_at is not None
    assert abs((datetime.now(UTC) - dead.died_at).total_seconds()) < 60
    assert dead.headers["correlation_id"] == "why"
    assert dead.headers["x-death"][0]["reason"] == "rejected"
    assert dead.payload


def test_every_queue_and_every_priority_is_taken_oldest_first(lab: Lab, transport: Transport) -> None:
    sent = {queue: messages(random.sample(PRIORITIES, 10), queue=queue) for queue in QUEUES}
    for queue, ten in sent.items():
        for one in ten:  # one after the other, so that they die in the order of their sending
            published(transport, [one])
            lab.witness.let_die(queue)

    dead = taken(transport, at_least=40)

    for queue, ten in sent.items():
        assert [(one.message_id, one.priority) for one in dead if one.queue == queue] == [
            (str(one.call_id), one.priority) for one in ten
        ]
    assert [one.message_id for one in taken(transport, limit=3) if one.queue == "batch"] == [
        str(one.call_id) for one in sent["batch"][:3]
    ]


def test_nothing_leaves_the_broker_before_it_is_forgotten_and_then_only_that(
    lab: Lab, transport: Transport, transport_to: TransportMaker
) -> None:
    published(transport, messages([5] * 5))
    lab.witness.let_die("default")
    first = transport_to(lab.url)
    dead = taken(first, at_least=5)
    assert forget(first, dead[:2]) == 2
    first.close()  # died before it forgot the others

    assert {one.message_id for one in taken(transport, at_least=3)} == {one.message_id for one in dead[2:]}

    rest = taken(transport, at_least=3)
    published(transport, messages([9]))
    lab.witness.let_die("default")
    assert forget(transport, rest) == 3
    [late] = taken(transport)
    assert late.message_id not in {one.message_id for one in dead}
    assert forget(transport, [late]) == 1
    assert transport.take_dead() == []
    assert lab.witness.count_dead("default") == 0


def test_taking_again_gives_the_same_and_forgetting_twice_is_quiet(lab: Lab, transport: Transport) -> None:
    published(transport, messages([1, 2, 3]))
    lab.witness.let_die("default")

    once, again = taken(transport, at_least=3), taken(transport, at_least=3)

    assert [(one.message_id, one.payload, one.died_at) for one in once] == [
        (one.message_id, one.payload, one.died_at) for one in again
    ]
    assert forget(transport, again) == 3
    assert forget(transport, again) == 0
    assert forget(transport, []) == 0


def test_two_takers_at_once_lose_nothing_and_remove_each_once(
    lab: Lab, transport: Transport, transport_to: TransportMaker
) -> None:
    published(transport, messages([5] * 30))
    lab.witness.let_die("default")
    other = transport_to(lab.url)
    seen: set[str | None] = set()
    removed = 0

    def settle_some() -> bool:
        nonlocal removed
        for taker in (transport, other):
            held = taker.take_dead(limit=7, deadline_seconds=5)
            seen.update(one.message_id for one in held)
            removed += taker.forget_dead(held, deadline_seconds=5)
        return lab.witness.count_dead("default") == 0 and removed >= 30

    poll_until(settle_some, within_seconds=PATIENT_SECONDS, what="all are settled")

    assert (len(seen), removed) == (30, 30)


def test_bytes_of_a_stranger_are_taken_as_they_are(lab: Lab, transport: Transport) -> None:
    strange = [b"\x00\xff{", b"", b"[[], {}, {}]", b"\n", b'{"reason": 1}\n', "{{ \N{SNOWMAN} }}".encode()]
    for raw in strange:
        lab.witness.put("default", raw)
    lab.witness.let_die("default")

    dead = taken(transport, at_least=len(strange))

    assert [one.payload for one in dead] == strange
    assert {(one.task, one.message_id, one.generation, one.args) for one in dead} == {(None, None, None, None)}
    assert forget(transport, dead) == len(strange)


def test_a_broker_without_queues_has_no_dead_letters(lab: Lab, transport_to: TransportMaker) -> None:
    assert transport_to(lab.url).take_dead(deadline_seconds=PATIENT_SECONDS) == []
