"""What is on a broker: by redis-py, by pika, and on a RabbitMQ of the suite's own by what the node says of itself.

Read when its workers have ended: what they held is then ready again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import pika
import pika.exceptions
import redis

from chaos.servers.base import Server
from chaos.servers.rabbit import RabbitServer

QUEUES = ("default", "ml_tasks", "ingest", "batch")
DEAD_QUEUES = {queue: f"{queue}.dead" for queue in QUEUES}
STEPS = range(10)
HELD_KEY = "unacked"
NOT_FOUND = 404
# Keys that say nothing of a message: kombu's bindings, tokens that expire after two seconds, when the last sweep was.
HARMLESS = ("_kombu.binding", "wake:", "unacked_swept")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerContents:
    """Messages ready by queue, dead letters by queue, and what belongs to nobody (any more) or should be there.

    `unacked`: messages that somebody holds still, by queue. `orphan_keys` on Redis, `orphan_queues` and
    `missing_queues` on RabbitMQ. Through pika alone only the queues of `QUEUES` and their dead letters are seen, and
    of them what is ready.
    """

    ready: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    unacked: dict[str, int] = field(default_factory=dict)
    orphan_keys: tuple[str, ...] = ()
    orphan_queues: tuple[str, ...] = ()
    missing_queues: tuple[str, ...] = ()

    @property
    def messages(self) -> int:
        """Ready, or held by somebody."""
        return sum(self.ready.values()) + sum(self.unacked.values())

    @property
    def is_empty(self) -> bool:
        """Nothing but what a broker has at rest, with its queues or before there are any."""
        return not (self.messages or sum(self.dead.values()) or self.orphan_keys or self.orphan_queues)


def contents(url: str, *, server: Server | None = None) -> BrokerContents:
    """What the broker of this URL holds; with the suite's own `server` there, all of it: takes a second or two."""
    if isinstance(server, RabbitServer):
        return _of_a_node(server, vhost=unquote(urlsplit(url).path.removeprefix("/")))
    return _READERS[urlsplit(url).scheme](url)


def held_messages(url: str, *, server: Server | None) -> int | None:
    """How many messages consumers have and have not acknowledged; None: of a RabbitMQ that is not the suite's own."""
    if isinstance(server, RabbitServer):
        return sum(contents(url, server=server).unacked.values())
    if urlsplit(url).scheme != "redis":
        return None
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        return int(client.hlen(HELD_KEY))


def _of_redis(url: str) -> BrokerContents:
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5, decode_responses=True) as client:
        lists = {queue: [_step(queue, step) for step in STEPS] for queue in QUEUES}
        known = {key for keys in lists.values() for key in keys} | set(DEAD_QUEUES.values())
        orphans = [key for key in client.scan_iter(count=1000) if key not in known and not key.startswith(HARMLESS)]
        return BrokerContents(
            ready={queue: sum(int(client.llen(key)) for key in keys) for queue, keys in lists.items()},
            dead={queue: int(client.llen(letters)) for queue, letters in DEAD_QUEUES.items()},
            orphan_keys=tuple(sorted(orphans)),
        )


def _of_rabbitmq(url: str) -> BrokerContents:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        counts = {queue: _count(connection, queue) for queue in (*QUEUES, *DEAD_QUEUES.values())}
    return BrokerContents(
        ready={queue: counts[queue] or 0 for queue in QUEUES},
        dead={queue: counts[letters] or 0 for queue, letters in DEAD_QUEUES.items()},
        missing_queues=tuple(queue for queue, count in counts.items() if count is None),
    )


def _of_a_node(server: RabbitServer, *, vhost: str) -> BrokerContents:
    columns = ("name", "messages_ready", "messages_unacknowledged")
    rows = json.loads(server.ctl("list_queues", "--quiet", "--vhost", vhost, *columns, "--formatter", "json"))
    ready = {row["name"]: int(row["messages_ready"]) for row in rows}
    known = {*QUEUES, *DEAD_QUEUES.values()}
    return BrokerContents(
        ready={queue: count for queue, count in ready.items() if queue not in DEAD_QUEUES.values()},
        dead={queue: ready.get(letters, 0) for queue, letters in DEAD_QUEUES.items()},
        unacked={row["name"]: held for row in rows if (held := int(row["messages_unacknowledged"]))},
        orphan_queues=tuple(sorted(ready.keys() - known)),
        missing_queues=tuple(sorted(known - ready.keys())),
    )


def _count(connection: pika.BlockingConnection, queue: str) -> int | None:
    """Messages ready in a queue; None: there is no such queue. A refusal costs the channel, so each has its own."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue, passive=True).method.message_count)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None


def _step(queue: str, step: int) -> str:
    return f"{queue}\x06\x16{step}" if step else queue


_READERS: dict[str, Callable[[str], BrokerContents]] = {"redis": _of_redis, "amqp": _of_rabbitmq}
