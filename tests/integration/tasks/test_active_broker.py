"""Which broker carries the calls: relays that disagree, a switch by hand, and the fence in the claim."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import event, update

from app.errors import BrokerSwitched
from app.events import dispatch
from app.models.base import now
from app.models.outbox import CallState, ProcessHeartbeat, TaskCall
from app.services import active_broker
from app.services.active_broker import Active
from app.services.library import Library
from app.services.presence import Heart
from app.settings import load_settings
from app.tasks.relay import Relay
from chaos.polling import poll_until
from tests.command_line import alexandria
from tests.integration.outbox.claims import claim_due
from tests.integration.tasks.brokers import RecordingBroker
from tests.integration.tasks.delivery import Outbox, call_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


class OtherBroker(RecordingBroker):
    fingerprint = "recording:other/0"


def relay_of(library: Library, broker: RecordingBroker) -> Relay:
    return Relay(database=library.database, transport=broker, settings=load_settings(relay_publish_deadline_seconds=1))


def active_of(library: Library) -> Active:
    with library.database.reader() as session:
        return active_broker.active(session)


def a_relay_lives_on(library: Library, broker: RecordingBroker) -> None:
    with library.database.writer() as session:
        session.add(ProcessHeartbeat(name="r", role="relay", pid=1, host="h", broker=broker.fingerprint, queues=[]))


def switch_to(library: Library, broker: RecordingBroker) -> bool:
    with library.database.writer() as session:
        return active_broker.switch(session, broker.fingerprint, moment=now())


@pytest.fixture
def call_id(outbox: Outbox) -> UUID:
    return outbox.store(call_for(outbox.resource()))


def test_the_first_relay_makes_its_broker_the_active_one(library: Library, call_id: UUID) -> None:
    assert active_of(library).epoch == 0
    broker = RecordingBroker()

    assert relay_of(library, broker).tick() == 1

    assert (active_of(library).fingerprint, active_of(library).epoch) == (broker.fingerprint, 1)
    assert relay_of(library, broker).tick() == 0
    assert active_of(library).epoch == 1


def test_a_relay_of_another_broker_waits_while_one_of_the_active_lives_and_takes_over_after(
    library: Library, outbox: Outbox, call_id: UUID
) -> None:
    one, other = RecordingBroker(), OtherBroker()
    relay_of(library, one).tick()
    a_relay_lives_on(library, one)
    new = relay_of(library, other)
    outbox.store(call_for(outbox.resource()))

    assert [new.tick(), new.recover()] == [0, 0]
    assert other.held == []

    with library.database.writer() as session:
        session.execute(update(ProcessHeartbeat).values(seen_at=now() - timedelta(seconds=16)))
    assert new.tick() == 2  # what waited, and what the old broker held
    assert (active_of(library).fingerprint, active_of(library).epoch) == (other.fingerprint, 2)
    assert outbox.call(call_id).generation == 2


def test_a_relay_that_waits_locks_nothing(library: Library, call_id: UUID) -> None:
    """It looks once a second, and at each commit that wakes it: whoever commits would wait for it."""
    one = RecordingBroker()
    relay_of(library, one).tick()
    a_relay_lives_on(library, one)
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(library.database.engine, "before_cursor_execute", note)
    assert relay_of(library, OtherBroker()).tick() == 0
    event.remove(library.database.engine, "before_cursor_execute", note)

    assert statements
    assert not [one for one in statements if "IMMEDIATE" in one or "FOR UPDATE" in one]


def test_a_relay_whose_broker_does_not_answer_takes_nothing_over(library: Library, call_id: UUID) -> None:
    relay_of(library, RecordingBroker()).tick()
    dead = OtherBroker()
    dead.is_away = True

    assert relay_of(library, dead).tick() == 0
    assert active_of(library).epoch == 1


def test_a_switch_by_hand_ends_the_old_relay_and_is_not_taken_back(
    library: Library, outbox: Outbox, call_id: UUID
) -> None:
    one, other = RecordingBroker(), OtherBroker()
    old = relay_of(library, one)
    old.tick()
    a_relay_lives_on(library, one)

    assert switch_to(library, other)
    assert not switch_to(library, other)

    outbox.store(call_for(outbox.resource()))
    with pytest.raises(BrokerSwitched, match="recording:other/0"):
        old.tick()
    restarted = relay_of(library, one)  # with its settings unchanged, before any relay of the new broker has come
    assert [restarted.tick(), restarted.recover()] == [0, 0]
    assert len(one.held) == 1
    assert relay_of(library, other).tick() == 2
    assert switch_to(library, one)
    assert restarted.tick() == 2
    assert active_of(library).epoch == 3


@pytest.mark.parametrize("why", ["its broker is dead", "there is no room in flight"])
def test_a_switch_ends_an_old_relay_that_cannot_claim(
    library: Library, outbox: Outbox, call_id: UUID, why: str
) -> None:
    broker = RecordingBroker()
    tight = load_settings(relay_publish_deadline_seconds=1, relay_in_flight_per_queue=1)
    old = Relay(database=library.database, transport=broker, settings=tight)
    old.tick()
    outbox.store(call_for(outbox.resource()))
    if why == "its broker is dead":
        with library.database.writer() as session:
            session.execute(update(TaskCall).where(TaskCall.id == call_id).values(state=CallState.DONE))
        broker.is_away = True
    assert old.tick() == 0
    switch_to(library, OtherBroker())

    def has_ended() -> bool:
        try:
            old.tick()
        except BrokerSwitched:
            return True
        return False

    poll_until(has_ended, within_seconds=10, what="the old relay ends")
    assert outbox.call(call_id).generation == 1


def test_running_calls_keep_their_lease_in_a_switch_and_sent_ones_wait_again(library: Library, outbox: Outbox) -> None:
    one = RecordingBroker()
    ids = [outbox.store(call_for(outbox.resource())) for _ in range(3)]
    relay_of(library, one).tick()
    running, sent, claimed = ids
    with library.database.writer() as session:
        session.execute(update(TaskCall).where(TaskCall.id == running).values(state=CallState.RUNNING, owner="w"))
        session.execute(update(TaskCall).where(TaskCall.id == claimed).values(state=CallState.CLAIMED))
    switch_to(library, OtherBroker())

    assert active_broker.resend_left_behind(library.database) == 2

    assert outbox.state(running) == CallState.RUNNING
    assert {outbox.state(one) for one in (sent, claimed)} == {CallState.WAITING}
    assert active_broker.resend_left_behind(library.database) == 0


def test_resend_lets_all_that_was_sent_wait_again(library: Library, outbox: Outbox) -> None:
    broker = RecordingBroker()
    ids = [outbox.store(call_for(outbox.resource())) for _ in range(120)]
    relay = relay_of(library, broker)
    relay.tick()

    assert active_broker.resend(library.database) == 120
    assert active_broker.resend(library.database) == 0
    assert relay.tick() == 120
    assert {message.generation for message in broker.held} == {1, 2}
    assert len(ids) == 120


def test_the_command_says_how_many_it_sends_again(library: Library, outbox: Outbox) -> None:
    ids = [outbox.store(call_for(outbox.resource())) for _ in range(3)]
    relay_of(library, RecordingBroker()).tick()
    here = {"DATABASE_URL": library.settings.database}

    said = [alexandria("broker", "resend", environment=here).stdout for _ in range(2)]

    assert said == ["3 calls will be sent again\n", "0 calls will be sent again\n"]
    assert {outbox.state(one) for one in ids} == {CallState.WAITING}


def test_a_claim_and_a_switch_that_meet_never_leave_a_call_to_the_old_broker(library: Library, outbox: Outbox) -> None:
    """The old relay claims while the switch wants to commit: whichever is first, the call is found."""
    one = RecordingBroker()
    relay = relay_of(library, one)
    assert relay.recover() == 0
    outbox.store(call_for(outbox.resource()))
    switched = threading.Event()

    def switch() -> None:
        switch_to(library, OtherBroker())
        switched.set()

    with library.database.writer() as session:
        assert active_broker.holds(session, active_of(library))
        thread = threading.Thread(target=switch)
        thread.start()
        [claimed] = claim_due(session, queue="default", limit=10, moment=now())
        assert not switched.wait(0.3), "the switch commits under a claim"
    thread.join(30)

    assert switched.is_set()
    with library.database.writer() as session:
        assert not active_broker.holds(session, Active(fingerprint=one.fingerprint, epoch=1, activated_at=None))
    assert outbox.call(claimed.id).epoch == 1
    assert active_broker.resend_left_behind(library.database) == 1
    with library.database.writer() as session:
        assert dispatch.mark_sent(session, [claimed], moment=now()) == 0


def test_a_claim_in_an_epoch_that_is_over_takes_nothing(library: Library, outbox: Outbox) -> None:
    call_id = outbox.store(call_for(outbox.resource()))
    claim = partial(dispatch.claim, queue="default", priority=5, limit=10, moment=now())
    switch_to(library, OtherBroker())

    with library.database.step() as session:
        assert claim(session, epoch=0) == []
        [claimed] = claim(session, epoch=1)

    assert (claimed.id, claimed.generation) == (call_id, 1)


def test_two_relays_that_disagree_leave_one_active_broker(library: Library, outbox: Outbox) -> None:
    """Both start at once, on a database that has never had a relay."""
    brokers = (RecordingBroker(), OtherBroker())
    hearts = [Heart(library.database, role="relay", broker=broker.fingerprint) for broker in brokers]
    for heart in hearts:
        heart.start()
    poll_until(lambda: _alive(library) == 2, within_seconds=10, what="both say that they live")
    start = threading.Barrier(2)
    sent: dict[str, int] = {}
    for _ in range(20):
        outbox.store(call_for(outbox.resource()))

    def tick(broker: RecordingBroker) -> None:
        relay = relay_of(library, broker)
        start.wait(10)
        sent[broker.fingerprint] = relay.tick() + relay.tick()

    threads = [threading.Thread(target=tick, args=(broker,)) for broker in brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for heart in hearts:
        heart.stop()

    active = active_of(library)
    assert active.epoch == 1
    assert sent == {broker.fingerprint: 20 if broker.fingerprint == active.fingerprint else 0 for broker in brokers}


def _alive(library: Library) -> int:
    with library.database.reader() as session:
        return session.query(ProcessHeartbeat).count()
