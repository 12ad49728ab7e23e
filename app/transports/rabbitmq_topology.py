"""What stands on a RabbitMQ broker: the queues, the dead-letter exchange, one dead-letter queue each.

The arguments are identical in every process: RabbitMQ answers a difference with 406 and closes the channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.transports.base import QUEUES, QueueSpec

DEAD_LETTER_EXCHANGE = "dlx"
MAX_PRIORITY = 10


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


def queue_specs(names: Sequence[str] = QUEUES) -> tuple[QueueSpec, ...]:
    """The queues that workers read. Classic: native priorities are the requirement, quorum queues have two."""
    return tuple(
        QueueSpec(
            name=name,
            arguments={
                "x-max-priority": MAX_PRIORITY,
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
                "x-dead-letter-routing-key": dead_letters_queue(name),
            },
            dead_letters=dead_letters_queue(name),
        )
        for name in names
    )


def topology(names: Sequence[str] = QUEUES) -> Topology:
    """The dead letters first, so that no message can be rejected into nothing."""
    specs = queue_specs(names)
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
