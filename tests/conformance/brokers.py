"""The brokers every promise is tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from uuid import uuid4

from app.transports.base import Message, Priority
from chaos.processes import ProgramMissing
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer, ValkeyServer
from tests.conformance.witnesses import RabbitWitness, RedisWitness, Witness

WITNESSES: dict[str, Callable[[str], Witness]] = {
    "redis": RedisWitness,
    "valkey": RedisWitness,
    "rabbitmq": RabbitWitness,
}
BrokerServer = RedisServer | RabbitServer
SERVERS: dict[str, Callable[[], BrokerServer]] = {
    "redis": RedisServer,
    "valkey": ValkeyServer,
    "rabbitmq": RabbitServer,
}


@cache
def versioned(kind: str) -> str:
    """`redis-7.0`: the kind with the version that is installed; without it where nothing is."""
    try:
        return f"{kind}-{SERVERS[kind]().version()}"
    except ProgramMissing:
        return kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A healthy, empty broker and an independent look at it."""

    name: str
    url: str
    witness: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class FragileLab:
    """A broker of the test's own process that it may freeze, kill and restart."""

    name: str
    url: str
    witness: Witness
    server: BrokerServer


def messages(
    priorities: Sequence[int] = (Priority.MEDIUM,), *, queue: str = "default", task: str = "conformance.note"
) -> list[Message]:
    """One message for each priority; its argument says which."""
    return [
        Message(call_id=uuid4(), task=task, args=(f"p{priority}",), queue=queue, priority=priority)
        for priority in priorities
    ]
