"""A real broker of each kind, whose messages a test lets die by an independent client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.events.dispatch import ClaimedCall
from app.tasks.relay import message_of
from app.transports.base import Message, Transport
from app.transports.registry import open_transport
from tests.conformance.witnesses import RabbitWitness, RedisWitness, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Graveyard:
    """A broker, our view of it, and a witness."""

    url: str
    transport: Transport
    witness: Witness

    def bury(self, *calls: ClaimedCall) -> None:
        """The messages of these claims are published, and die."""
        self.let_die(*map(message_of, calls))

    def let_die(self, *messages: Message) -> None:
        outcomes = self.transport.publish(messages, deadline_seconds=10)
        assert all(outcome.accepted for outcome in outcomes), outcomes
        for queue in {message.queue for message in messages}:
            self.witness.let_die(queue)


@contextmanager
def a_graveyard(url: str) -> Iterator[Graveyard]:
    """With its queues declared; closed at the end of the block."""
    transport = open_transport(url)
    transport.declare(deadline_seconds=10)
    witness = RedisWitness(url) if url.startswith("redis") else RabbitWitness(url)
    yield Graveyard(url=url, transport=transport, witness=witness)
    transport.close()
