"""Whose a message is, when it has gone round: taken over by another process, given back, and claimed anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from app.transports.base import Transport
from app.transports.lease.owner import How, Owner, told
from app.transports.lease.pulse import Pulse
from app.transports.lease.scripts import CLAIM, RENEW, SETTLE, SWEEP
from app.transports.lease.wire import Wire
from app.transports.tally import LEASE_LOST, MESSAGES_RECOVERED, tally
from chaos.polling import poll_until
from tests.conformance.brokers import Lab, messages

pytestmark = pytest.mark.parametrize("lab", ["redis", "valkey"], indirect=True)

PATIENT_SECONDS = 10.0
MAX_DELIVERIES = 5


@pytest.fixture
def client(lab: Lab, transport: Transport) -> Iterator[redis.Redis]:
    assert transport.publish(messages(), deadline_seconds=PATIENT_SECONDS)[0].accepted
    with redis.Redis.from_url(lab.url, socket_timeout=5) as client:
        yield client


class Claimant:
    """A process, as far as the server knows one."""

    def __init__(self, client: redis.Redis) -> None:
        self.owner = Owner()
        self._client = client

    def claim(self) -> str:
        """Take the message; its tag."""
        number = self.owner.new_claim()
        _, tag, _ = CLAIM.run(self._client.execute_command, self.owner.id, number, 1, 0, "default", 0)
        self.owner.hold(tag.decode(), claim=number)
        return str(tag.decode())

    def settle(self, tag: str, how: How) -> None:
        """End it, and tell at once."""
        self.owner.settle(tag, how)
        SETTLE.run(self._client.execute_command, *told(self.owner.take_untold()))


class EventfulWire(Wire):
    """Between the answer to the first renewal and whoever asked, something happens."""

    def __init__(self, connection: Any, event: Callable[[], None]) -> None:
        super().__init__(connection)
        self._event = event
        self.renewals = 0

    def ask(self, *command: str | float) -> Any:
        answer = super().ask(*command)
        if command[1] in {RENEW.sha, RENEW.source}:
            if not self.renewals:
                self._event()
            self.renewals += 1
        return answer


def test_a_message_that_comes_back_while_its_loss_is_told_is_kept(lab: Lab, client: redis.Redis) -> None:
    ours, theirs = Claimant(client), Claimant(client)
    tag = ours.claim()
    die(client, ours.owner)
    assert theirs.claim() == tag

    def comes_back() -> None:
        theirs.settle(tag, How.GIVE_BACK)
        assert ours.claim() == tag

    tally.take()
    wires: list[EventfulWire] = []

    def new_wire() -> Wire:
        wires.append(EventfulWire(new_connection(client), comes_back))
        return wires[-1]

    pulse = Pulse(ours.owner, new_wire, max_deliveries=5)
    pulse.start()
    try:
        poll_until(
            lambda: max(wire.renewals for wire in wires) > 1,
            within_seconds=PATIENT_SECONDS,
            what="the next renewal, after what the first one lost",
        )

        assert ours.owner.held() == {tag: f"{ours.owner.id}|2"}
        assert tally.take() == {}
        ours.settle(tag, How.ACKNOWLEDGE)
        assert client.hlen("unacked") == 0
    finally:
        pulse.stop()


def test_a_renewal_is_for_the_claim_that_the_process_knows(client: redis.Redis) -> None:
    """The answer to the second claim has not been read: its lease is not prolonged by who knows the first only."""
    ours = Claimant(client)
    tag = ours.claim()
    known = ours.owner.held()
    ours.settle(tag, How.GIVE_BACK)
    ours.claim()

    words = (word for pair in known.items() for word in pair)
    assert RENEW.run(client.execute_command, ours.owner.id, *words) == [tag.encode()]
    assert ours.owner.lose(known) == 0


def test_what_is_lost_and_what_is_recovered_is_counted(lab: Lab, client: redis.Redis, transport: Transport) -> None:
    ours, theirs = Claimant(client), Claimant(client)
    ours.claim()
    tally.take()
    silent_for_longer_than_a_lease(client, ours.owner)
    poll_until(lambda: transport.tend(max_deliveries=5) == 1, within_seconds=PATIENT_SECONDS, what="it is given back")
    assert tally.take() == {MESSAGES_RECOVERED: 1}
    theirs.claim()

    pulse = Pulse(ours.owner, lambda: Wire(new_connection(client)), max_deliveries=5)
    pulse.start()
    try:
        poll_until(lambda: not ours.owner.held(), within_seconds=PATIENT_SECONDS, what="it learns of its loss")
        poll_until(lambda: tally.take() == {LEASE_LOST: 1}, within_seconds=PATIENT_SECONDS, what="the loss is counted")
    finally:
        pulse.stop()


def test_a_message_of_no_call_outlives_workers_that_had_only_fetched_it(
    lab: Lab, client: redis.Redis, transport: Transport
) -> None:
    """Its starts are counted where they are made: beside a poison, it dies as often as the poison is started."""
    [key] = (key for key in client.keys("default*"))
    message = json.loads(client.lindex(key, 0) or b"")
    del message["headers"]["generation"]
    client.lset(key, 0, json.dumps(message))

    for _ in range(2 * MAX_DELIVERIES):
        dies = Claimant(client)
        dies.claim()
        silent_for_longer_than_a_lease(client, dies.owner)
        poll_until(
            lambda: transport.tend(max_deliveries=MAX_DELIVERIES) == 1,
            within_seconds=PATIENT_SECONDS,
            what="it is given back",
        )

    assert (lab.witness.count("default"), lab.witness.count_dead("default")) == (1, 0)


def silent_for_longer_than_a_lease(client: redis.Redis, owner: Owner) -> None:
    """As the server sees it."""
    seconds, _ = client.time()
    client.set("unacked_swept", seconds - 1)
    client.zadd("unacked_owners", {owner.id: seconds - 100})


def die(client: redis.Redis, owner: Owner) -> None:
    """And be found dead."""
    silent_for_longer_than_a_lease(client, owner)
    assert SWEEP.run(client.execute_command, *(0, 0, 15, 15, 5, 3600))[1:] == [1, 0, owner.id.encode()]


def new_connection(client: redis.Redis) -> Any:
    pool = client.connection_pool
    return pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
