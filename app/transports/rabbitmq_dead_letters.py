"""Dead letters on RabbitMQ: what the dead-letter exchange put beside each queue, taken without consuming it.

`basic.get` without an ack holds a message for this connection; the ack comes once it is settled. A connection that ends
in between, by whatever death, gives everything back to its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import amqp

from app.transports.address import Address
from app.transports.base import DeadMessage
from app.transports.dead_letters import read_dead
from app.transports.rabbitmq_session import RabbitSession
from app.transports.rabbitmq_topology import dead_letters_queue


class DeadLetterSession(RabbitSession):
    """A connection that holds what it has taken, until it is forgotten or taken again."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._holding: Any = None
        self._held: set[int] = set()

    def take(self, queues: Sequence[str], *, limit: int) -> list[DeadMessage]:
        """The oldest of each queue; what was taken before and not forgotten is given back first."""
        self._give_back()
        dead = {queue: dead_letters_queue(queue) for queue in queues}
        waiting = self.counts(list(dead.values()))
        taken: list[DeadMessage] = []
        for queue, name in dead.items():
            for _ in range(min(limit, waiting[name])):
                message = self._channel_for_letters().basic_get(name)
                if message is None:
                    break
                self._held.add(message.delivery_tag)
                taken.append(_read(queue, message, receipt=(self._holding, message.delivery_tag)))
        return taken

    def forget(self, messages: Sequence[DeadMessage]) -> int:
        """Acknowledge what this connection still holds, and hear that the broker has read it."""
        mine = [tag for channel, tag in (one.receipt for one in messages) if channel is self._holding]
        tags = [tag for tag in mine if tag in self._held]
        for tag in tags:
            self._holding.basic_ack(tag)
            self._held.discard(tag)
        if tags:
            self._read_by_broker()
        return len(tags)

    def _channel_for_letters(self) -> Any:
        if self._holding is None:
            self._holding = self._connection.channel()
            self._holding.auto_decode = False  # bytes, whatever their sender called them
        return self._holding

    def _give_back(self) -> None:
        """By name: what a closed channel held comes back some time after the broker has said that it is closed."""
        for tag in self._held:
            self._holding.basic_reject(tag, requeue=True)
        if self._held:
            self._read_by_broker()
        self._held.clear()

    def _read_by_broker(self) -> None:
        self._holding.basic_qos(0, 0, False)  # any method that is answered


def _read(queue: str, message: amqp.Message, *, receipt: Any) -> DeadMessage:
    properties: dict[str, Any] = message.properties
    headers: dict[str, Any] = dict(properties.get("application_headers") or {})
    deaths = headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    content_type = properties.get("content_type")
    died_at = death.get("time")
    return read_dead(
        queue=queue,
        reason=death.get("reason"),
        count=death.get("count"),
        died_at=died_at.replace(tzinfo=UTC) if isinstance(died_at, datetime) else None,
        payload=body,
        body=body,
        content_type=content_type,
        headers={**headers, "content-type": content_type},
        priority=int(properties.get("priority") or 0),
        receipt=receipt,
    )
