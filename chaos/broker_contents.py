"""What is on a broker, by pika and redis-py. Read when its workers have ended: what they held is then ready again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pika
import pika.exceptions
import redis

QUEUES = ("default", "ml_tasks", "ingest", "batch")
STEPS = range(10)
NOT_FOUND = 404
# Keys that say nothing of a message: kombu's bindings, tokens that expire after two seconds, when the last sweep was.
HARMLESS = ("_kombu.binding", "wake:", "unacked_swept")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerContents:
    """Messages ready by queue, dead letters by queue, and on Redis the keys that belong to nobody (any more)."""

    ready: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    orphan_keys: tuple[str, ...] = ()

    @property
    def messages(self) -> int:
        """Ready, or held by somebody who is gone."""
        return sum(self.ready.values())

    @property
    def is_empty(self) -> bool:
        """Nothing but what a broker has at rest."""
        return not (self.messages or sum(self.dead.values()) or self.orphan_keys)


def contents(url: str) -> BrokerContents:
    """What the broker of this URL holds."""
    return _READERS[urlsplit(url).scheme](url)


def _of_redis(url: str) -> BrokerContents:
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5, decode_responses=True) as client:
        lists = {queue: [_step(queue, step) for step in STEPS] for queue in QUEUES}
        known = {key for keys in lists.values() for key in keys} | {f"{queue}.dead" for queue in QUEUES}
        orphans = [key for key in client.scan_iter(count=1000) if key not in known and not key.startswith(HARMLESS)]
        return BrokerContents(
            ready={queue: sum(int(client.llen(key)) for key in keys) for queue, keys in lists.items()},
            dead={queue: int(client.llen(f"{queue}.dead")) for queue in QUEUES},
            orphan_keys=tuple(sorted(orphans)),
        )


def _of_rabbitmq(url: str) -> BrokerContents:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        return BrokerContents(
            ready={queue: _count(connection, queue) for queue in QUEUES},
            dead={queue: _count(connection, f"{queue}.dead") for queue in QUEUES},
        )


def _count(connection: pika.BlockingConnection, queue: str) -> int:
    """Messages ready in a queue; none in one that does not exist. A refusal costs the channel, so each has its own."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).method.message_count)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return 0


def _step(queue: str, step: int) -> str:
    return f"{queue}\x06\x16{step}" if step else queue


_READERS: dict[str, Callable[[str], BrokerContents]] = {"redis": _of_redis, "amqp": _of_rabbitmq}
