"""RabbitMQ: published through the default exchange with the queue's name, confirms collected a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import amqp

from app.errors import TransportRejected, TransportUnavailable
from app.transports.address import Address
from app.transports.base import QUEUES, DeadMessage, Message, Outcome, QueueDepth
from app.transports.batch import Batch
from app.transports.line import Line
from app.transports.message import CONTENT_ENCODING, CONTENT_TYPE, body_of, headers_of, mark_of
from app.transports.rabbitmq_broker import WIRE_PRIORITIES, fingerprint_of
from app.transports.rabbitmq_dead_letters import DeadLetterSession
from app.transports.rabbitmq_session import RabbitSession
from app.transports.rabbitmq_topology import QueueType, dead_letters_queue, topology

PERSISTENT = 2

S = TypeVar("S", bound=RabbitSession)


class RabbitTransport:
    """See `Transport`."""

    def __init__(self, address: Address, *, queue_type: QueueType = "classic") -> None:
        self.fingerprint = fingerprint_of(address)
        self._publisher = self._open_line(lambda: RabbitSession(address))
        self._inspector = self._open_line(lambda: RabbitSession(address))  # a blocked publisher is not read at all
        self._letters = self._open_line(lambda: DeadLetterSession(address))  # holds what it takes until it is settled
        self._topology = topology(queue_type=queue_type)

    def _open_line(self, new_session: Callable[[], S]) -> Line[S]:
        errors = (amqp.AMQPError, OSError)
        return Line(self.fingerprint, new_session, errors=errors, explain=_explain)

    def publish(self, messages: Sequence[Message], *, deadline_seconds: float) -> list[Outcome]:
        """See `Transport`; while RabbitMQ blocks publishers (memory or disk alarm) it is unavailable."""
        batch = Batch(messages, _envelope)
        if not len(batch):
            return batch.close()
        try:
            self._publisher.call(lambda session, until: session.send(batch, until), deadline_seconds=deadline_seconds)
        except TransportUnavailable as trouble:
            return batch.close(trouble)
        return batch.close()

    def declare(self, *, deadline_seconds: float = 5.0) -> None:
        """See `Transport`: queues, the dead-letter exchange, dead-letter queues."""
        difference = self._inspector.call(
            lambda session, _: session.declare(self._topology), deadline_seconds=deadline_seconds
        )
        if difference is not None:
            raise TransportRejected(f"{self.fingerprint}: {difference}")

    def depths(self, queues: Sequence[str] = QUEUES, *, deadline_seconds: float = 2.0) -> dict[str, QueueDepth]:
        """See `Transport`; AMQP does not tell how many messages are unacknowledged."""
        names = [name for queue in queues for name in (queue, dead_letters_queue(queue))]
        ready = self._inspector.call(lambda session, _: session.counts(names), deadline_seconds=deadline_seconds)
        return {queue: QueueDepth(ready=ready[queue], dead=ready[dead_letters_queue(queue)]) for queue in queues}

    def health(self, *, deadline_seconds: float = 2.0) -> tuple[str, ...]:
        """See `Transport`."""
        self._publisher.call(lambda session, _: session.ask(), deadline_seconds=deadline_seconds)
        return ()

    def tend(self, *, max_deliveries: int, deadline_seconds: float = 2.0) -> int:  # noqa: ARG002  the seam's signature
        """See `Transport`: nothing, RabbitMQ gives back what a lost connection held."""
        return 0

    def take_dead(
        self, queues: Sequence[str] = QUEUES, *, limit: int = 100, deadline_seconds: float = 5.0
    ) -> list[DeadMessage]:
        """See `Transport`; two takers are never given the same, but they find what the other gave back."""
        return self._letters.call(
            lambda session, _: session.take(queues, limit=limit), deadline_seconds=deadline_seconds
        )

    def forget_dead(self, messages: Sequence[DeadMessage], *, deadline_seconds: float = 5.0) -> int:
        """See `Transport`."""
        return self._letters.call(lambda session, _: session.forget(messages), deadline_seconds=deadline_seconds)

    def close(self) -> None:
        """See `Transport`."""
        self._publisher.close()
        self._inspector.close()
        self._letters.close()


def _envelope(message: Message) -> amqp.Message:
    return amqp.Message(
        body_of(message),
        content_type=CONTENT_TYPE,
        content_encoding=CONTENT_ENCODING,
        delivery_mode=PERSISTENT,
        priority=WIRE_PRIORITIES[message.priority],
        correlation_id=str(message.call_id),
        message_id=mark_of(message),
        application_headers=headers_of(message),
    )


def _explain(error: Exception) -> str:
    """RabbitMQ's own words where it gave some."""
    if isinstance(error, amqp.AccessRefused):
        return "user, password or permissions refused"
    if isinstance(error, amqp.AMQPError) and error.reply_text:
        return str(error.reply_text)
    if isinstance(error, TimeoutError):
        return "no answer before the deadline"
    return str(error) or type(error).__name__
