"""What stands on a RabbitMQ broker: the queues, the dead-letter exchange, one dead-letter queue each.

The arguments are identical in every process: RabbitMQ answers a difference with 406 and closes the channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.transports.base import QUEUES, QueueSpec

DEAD_LETTER_EXCHANGE = "dlx"
MAX_PRIORITY = 10
DELIVERY_LIMIT = 100
"""Of quorum queues, whose server default is none in 3.x and 20 in 4.x. It counts innocent messages too, those that a
dying worker had only fetched, so it stands far above `MAX_DELIVERIES`, which counts starts and decides."""

QueueType = Literal["classic", "quorum"]
ARGUMENTS: Mapping[QueueType, Mapping[str, Any]] = {
    "classic": {"x-max-priority": MAX_PRIORITY},
    # Quorum queues refuse x-max-priority: from 4.0 on they read priorities without being told, before they ignore them.
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A queue's place on an exchange."""

    queue: str
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything to declare, in plain data: durable direct exchanges, durable queues, bindings."""

    exchanges: tuple[str, ...]
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()


def dead_letters_queue(queue: str) -> str:
    """The queue that rejected messages of `queue` end in."""
    return f"{queue}.dead"


def queue_specs(names: Sequence[str] = QUEUES, *, queue_type: QueueType = "classic") -> tuple[QueueSpec, ...]:
    """The queues that workers read."""
    return tuple(
        QueueSpec(
            name=name,
            arguments={
                **ARGUMENTS[queue_type],
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                "x-dead-letter-routing-key": dead_letters_queue(name),
            },
            dead_letters=dead_letters_queue(name),
        )
        for name in names
    )


def topology(names: Sequence[str] = QUEUES, *, queue_type: QueueType = "classic") -> Topology:
    """The dead letters first, so that no message can be rejected into nothing.

    They are classic queues beside either type: their messages are on the way to a table.
    """
    specs = queue_specs(names, queue_type=queue_type)
    queues: dict[str, dict[str, Any]] = {spec.dead_letters: {} for spec in specs}
    queues |= {spec.name: dict(spec.arguments) for spec in specs}
    return Topology(
        exchanges=(DEAD_LETTER_EXCHANGE,),
        queues=queues,
        bindings=tuple(
            Binding(queue=spec.dead_letters, exchange=DEAD_LETTER_EXCHANGE, routing_key=spec.dead_letters)
            for spec in specs
        ),
    )
