"""The relay against a real Redis and against brokers that misbehave, on both databases."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select

from app.events.hooks import PlannedCall
from app.models.base import now
from app.models.derived import Counter as StoredCounter
from app.models.outbox import CallState, TaskCall
from app.services import consistency
from app.services.library import Library
from app.settings import load_settings
from app.tasks.relay import BUSY_PAUSE_SECONDS, ENOUGH_IN_FLIGHT, Relay
from app.tasks.task_names import TaskName
from app.tasks.wake_up import wake_up_of
from app.transports.base import Fate, Message, Outcome, Transport
from app.transports.registry import open_transport
from chaos.polling import poll_until
from chaos.servers.redis import ValkeyServer
from tests.integration.tasks.brokers import ACCEPTED, RecordingBroker
from tests.integration.tasks.delivery import Outbox, call_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def relay_of(library: Library, transport: Transport, **settings: Any) -> Relay:
    chosen = {"relay_publish_deadline_seconds": 1, **settings}
    return Relay(database=library.database, transport=transport, settings=load_settings(**chosen))


def canaries(count: int, *, queue: str = "default", priority: int = 5, first: int = 0) -> list[PlannedCall]:
    return [
        PlannedCall(
            task=TaskName.CANARY,
            args=[queue],
            queue=queue,
            priority=priority,
            delay=timedelta(0),
            coalesce_key=f"canary:{queue}:{priority}:{first + number}",
        )
        for number in range(count)
    ]


def store(library: Library, calls: list[PlannedCall]) -> list[UUID]:
    with library.work() as unit:
        unit.enqueue(*calls)
        return [stored.id for stored in unit.store()]


def states(library: Library) -> Counter[str]:
    with library.database.reader() as session:
        counted = session.execute(select(TaskCall.state, func.count()).group_by(TaskCall.state)).all()
    return Counter({str(state): count for state, count in counted})


@contextmanager
def running(relay: Relay, library: Library) -> Iterator[None]:
    """`alexandria relay` in a thread."""
    stop = threading.Event()

    def run() -> None:
        wake_up = wake_up_of(library.database.engine, stop)
        relay.run(wake_up, stop)
        wake_up.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_due_calls_are_sent_to_redis_and_marked(library: Library, redis_url: str) -> None:
    transport = open_transport(redis_url)
    relay = relay_of(library, transport)
    store(library, canaries(7))
    store(library, canaries(3, queue="ml_tasks"))

    assert relay.tick() == 10

    depths = transport.depths()
    transport.close()
    assert (depths["default"].ready, depths["ml_tasks"].ready) == (7, 3)
    assert states(library) == {CallState.SENT: 10}
    assert relay.tick() == 0


def test_a_due_call_is_two_statements_away_from_its_broker(library: Library) -> None:
    """Each statement more is a round trip more between a commit and its task: 4 ms on a busy machine."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    broker = RecordingBroker()
    relay = relay_of(library, broker)
    relay.tick()
    store(library, canaries(1))
    event.listen(library.database.engine, "before_cursor_execute", note)
    sent_after: list[int] = []

    def judge(_: Message) -> Outcome:
        sent_after.append(len(statements))
        return ACCEPTED

    broker.judge = judge
    assert relay.tick() == 1

    event.remove(library.database.engine, "before_cursor_execute", note)
    assert sent_after == [2], statements
    assert len(statements) == 3


def test_urgent_calls_are_sent_first_with_generation_and_ids(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    store(library, canaries(2, priority=3))
    store(library, canaries(2, priority=9))

    relay_of(library, broker).tick()

    assert [message.priority for message in broker.held] == [9, 9, 3, 3]
    for message in broker.held:
        call = outbox.call(UUID(str(message.call_id)))
        assert (message.generation, message.headers["correlation_id"]) == (call.generation, call.correlation_id)


def test_each_call_of_a_batch_has_an_outcome_of_its_own(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    ids = store(library, canaries(6))
    fates = dict(zip(sorted(map(str, ids)), [Fate.ACCEPTED, Fate.REFUSED, Fate.UNKNOWN] * 2, strict=True))
    broker.judge = lambda message: Outcome(fate=fates[str(message.call_id)], reason="as told")
    before = now()

    assert relay_of(library, broker).tick() == 2

    for call_id, fate in fates.items():
        call = outbox.call(UUID(call_id))
        assert call.state == (CallState.SENT if fate is Fate.ACCEPTED else CallState.WAITING)
        assert call.generation == 1
        assert fate is Fate.ACCEPTED or call.due_at >= before + timedelta(seconds=0.9)


def test_what_was_refused_is_sent_again_with_a_new_generation(library: Library) -> None:
    broker = RecordingBroker()
    broker.judge = lambda _: Outcome(fate=Fate.UNKNOWN, reason="no answer came")
    ahead = timedelta(0)
    relay = Relay(database=library.database, transport=broker, settings=load_settings(), clock=lambda: now() + ahead)
    store(library, canaries(3))
    assert relay.tick() == 0

    broker.judge = lambda _: ACCEPTED
    ahead = timedelta(seconds=5)

    assert relay.tick() == 3
    assert Counter(message.generation for message in broker.held) == {1: 3, 2: 3}
    assert states(library) == {CallState.SENT: 3}


def test_what_the_broker_will_never_take_is_dead_and_holds_up_nobody(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    resource_id = outbox.resource()
    never = outbox.store(call_for(resource_id))
    others = store(library, canaries(2))
    broker.judge = lambda message: (
        Outcome(fate=Fate.REFUSED, reason="not plain JSON", permanent=True)
        if str(message.call_id) == str(never)
        else ACCEPTED
    )
    relay = relay_of(library, broker)

    assert relay.tick() == 2

    assert {outbox.state(one) for one in others} == {CallState.SENT}
    assert outbox.state(never) == CallState.DEAD
    [letter] = outbox.dead_letters()
    assert (letter.call_id, letter.reason) == (never, "broker_rejected")
    assert letter.error == {"type": "broker-rejected", "detail": "not plain JSON"}
    with library.database.reader() as session:
        assert (
            consistency.overview(session, embedding_model=library.embedding_model)["kinds"]["embedding"]["failed"] == 1
        )
    broker.is_away = True  # a broker thought to be lost would be asked first, and nothing claimed
    store(library, canaries(1, first=9))
    assert relay.tick() == 0
    assert relay.counts.returned == 1


def test_no_more_than_the_limit_is_in_flight(library: Library) -> None:
    broker = RecordingBroker()
    relay = relay_of(library, broker, relay_in_flight_per_queue=10, relay_batch_size=4)
    store(library, canaries(25))
    store(library, canaries(2, queue="ingest"))

    sent = [relay.tick() for _ in range(5)]

    assert sent == [6, 4, 2, 0, 0]  # four, four, two of the default queue; the other queue has room of its own
    assert states(library) == {CallState.SENT: 12, CallState.WAITING: 15}
    with library.database.writer() as session:
        done = select(TaskCall.id).where(TaskCall.state == CallState.SENT, TaskCall.queue == "default").limit(3)
        for call_id in session.scalars(done).all():
            session.get_one(TaskCall, call_id).state = CallState.DONE
    assert relay.tick() == 3


def test_while_the_broker_is_away_nothing_is_claimed_and_nothing_is_lost(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    broker.is_away = True
    relay = relay_of(library, broker)
    ids = store(library, canaries(5))

    assert [relay.tick() for _ in range(3)] == [0, 0, 0]
    assert {(outbox.call(one).state, outbox.call(one).generation) for one in ids} == {(CallState.WAITING, 0)}

    broker.is_away = False
    assert relay.tick() == 5
    assert {UUID(str(message.call_id)) for message in broker.held} == set(ids)


def test_a_broker_that_dies_between_claim_and_publish_gets_the_calls_later(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    ahead = timedelta(0)
    relay = Relay(database=library.database, transport=broker, settings=load_settings(), clock=lambda: now() + ahead)
    store(library, canaries(1, first=90))
    relay.tick()
    ids = store(library, canaries(4))
    broker.is_away = True

    assert relay.tick() == 0
    assert {outbox.call(one).state for one in ids} == {CallState.WAITING}

    broker.is_away, ahead = False, timedelta(seconds=5)
    assert relay.tick() == 4
    assert relay.counts.redispatched == 0


def test_a_silent_redis_costs_its_deadline_and_no_call(library: Library) -> None:
    with ValkeyServer() as server:
        transport = open_transport(server.url)
        relay = relay_of(library, transport)
        store(library, canaries(1))
        assert relay.tick() == 1
        server.pause()
        store(library, canaries(5, first=1))

        begun = time.monotonic()
        assert relay.tick() == 0
        assert relay.tick() == 0
        took = time.monotonic() - begun
        in_between = states(library)
        server.resume()

        assert took < 6
        assert in_between == {CallState.SENT: 1, CallState.WAITING: 5}
        with running(relay, library):
            poll_until(lambda: states(library) == {CallState.SENT: 6}, within_seconds=20, what="all are sent")
        transport.close()


def test_claims_of_a_relay_that_died_and_starts_of_a_worker_that_died_are_sent_again(
    library: Library, outbox: Outbox
) -> None:
    broker = RecordingBroker()
    ahead = timedelta(0)
    settings = load_settings(relay_publish_deadline_seconds=1)
    relay = Relay(database=library.database, transport=broker, settings=settings, clock=lambda: now() + ahead)
    claimed_id, running_id = store(library, canaries(2))
    with library.database.writer() as session:
        claimed, started = session.get_one(TaskCall, claimed_id), session.get_one(TaskCall, running_id)
        claimed.state, claimed.generation, claimed.claimed_at = CallState.CLAIMED, 1, now()
        started.state, started.generation, started.owner = CallState.RUNNING, 1, "died"
        started.lease_until = now() + timedelta(seconds=2)

    redispatched = []
    for _ in range(5):  # a relay that starts cannot know whether leases could be renewed: it grants a full one first
        redispatched.append(relay.recover())
        ahead += timedelta(seconds=5)

    assert redispatched[:3] == [0, 0, 0]
    assert sum(redispatched) == 1  # a claim was never sent, so it is not sent a second time
    assert {outbox.call(one).state for one in (claimed_id, running_id)} == {CallState.WAITING}
    assert relay.tick() == 2
    assert {message.generation for message in broker.held} == {2}
    with library.database.reader() as session:
        assert session.get_one(StoredCounter, "redispatched_total").value == 1


def test_a_committed_call_reaches_the_broker_within_a_tenth_of_a_second(library: Library) -> None:
    broker = RecordingBroker()
    relay = relay_of(library, broker, relay_poll_seconds=30)
    latencies = []
    with running(relay, library):
        store(library, canaries(1, first=100))
        poll_until(lambda: broker.held, within_seconds=35, what="the relay runs")
        for number in range(21):
            store(library, canaries(1, first=number))
            committed = time.monotonic()
            poll_until(partial(_has, broker, number + 2), within_seconds=35, every_seconds=0.005, what="it is sent")
            latencies.append(broker.arrived[-1] - committed)

    assert sorted(latencies)[len(latencies) // 2] < 0.1, latencies


def _has(broker: RecordingBroker, count: int) -> bool:
    return len(broker.held) >= count


def test_two_relays_send_each_of_two_hundred_calls_once(library: Library) -> None:
    brokers = [RecordingBroker(), RecordingBroker()]
    relays = [relay_of(library, broker, relay_batch_size=16) for broker in brokers]
    with running(relays[0], library), running(relays[1], library), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda start: store(library, canaries(10, first=10 * start)), range(20)))
        poll_until(lambda: states(library) == {CallState.SENT: 200}, within_seconds=60, what="all are sent")

    held: list[Message] = [message for broker in brokers for message in broker.held]
    assert len(held) == len({message.call_id for message in held}) == 200
    assert {message.generation for message in held} == {1}


def test_a_first_wait_ends_at_once_for_what_was_committed_before_anyone_listened(library: Library) -> None:
    wake_up = wake_up_of(library.database.engine, threading.Event())
    store(library, canaries(1))

    begun = time.monotonic()
    wake_up.wait(30)
    took = time.monotonic() - begun

    wake_up.close()
    assert took < 10


def test_while_every_queue_has_enough_in_flight_the_relay_looks_ten_times_a_second(library: Library) -> None:
    broker = RecordingBroker()
    store(library, canaries(ENOUGH_IN_FLIGHT))
    with running(relay_of(library, broker), library):
        poll_until(lambda: len(broker.held) == ENOUGH_IN_FLIGHT, within_seconds=10, what="enough is in flight")
        begun, before = time.monotonic(), len(broker.batches)
        for number in range(60):
            store(library, canaries(1, first=ENOUGH_IN_FLIGHT + number))
        poll_until(lambda: len(broker.held) == ENOUGH_IN_FLIGHT + 60, within_seconds=10, what="all are sent")
        took, batches = time.monotonic() - begun, len(broker.batches) - before

    assert batches <= took / BUSY_PAUSE_SECONDS + 1
