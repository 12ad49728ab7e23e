"""Redis and Valkey: queues are lists in kombu's format, written and counted here, read by Celery."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

import redis
from redis.connection import Connection, SSLConnection
from redis.exceptions import NoPermissionError

from app.errors import SettingsError, TransportUnavailable
from app.settings import Settings
from app.transports.address import Address
from app.transports.base import PRIORITIES, QUEUES, Broker, Message, Outcome, QueueDepth, QueueSpec
from app.transports.batch import Batch
from app.transports.line import Line
from app.transports.redis_format import (
    SEPARATOR,
    UNACKED_KEY,
    WIRE_PRIORITIES,
    Command,
    dead_letters_key,
    lpush,
    queue_key,
)
from app.transports.worker_delivery import delivery_config

SCHEMES = ("redis", "rediss")
DEFAULT_PORT = 6379
UNACKED_COUNTED_UP_TO = 1000
CONNECT_TIMEOUT_SECONDS = 4.0
SOCKET_TIMEOUT_SECONDS = 5.0
HEALTH_CHECK_SECONDS = 10
VISIBILITY_SECONDS = 3600
IDLE_SECONDS = 5.0
NEVER_ALONE_SECONDS = 60.0
"""Socket timeout of the publisher: only a net under `Line`, which cuts at the caller's deadline."""


def fingerprint_of(address: Address) -> str:
    """`redis:host:port/db`."""
    return f"redis:{address.place}:{address.port or DEFAULT_PORT}/{_database(address)}"


def broker_for(address: Address, settings: Settings) -> Broker:
    """Celery's side of this broker as data."""
    queues = tuple(QueueSpec(name=name, arguments={}, dead_letters=dead_letters_key(name)) for name in QUEUES)
    options: dict[str, Any] = {
        "priority_steps": list(PRIORITIES),
        "sep": SEPARATOR,
        "queue_order_strategy": "round_robin",
        "visibility_timeout": _visibility_seconds(settings),
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,  # above kombu's BRPOP wait of 1 s
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
    }
    config = delivery_config(
        settings,
        url=address.url,
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=0,
    )
    tls = {"broker_use_ssl": dict(address.tls)} if address.tls is not None else {}
    return Broker(
        transport="redis",
        url=address.url,
        fingerprint=fingerprint_of(address),
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        transport_options=options,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=0,
        celery_config=config | {"broker_transport_options": options} | tls,
    )


def _visibility_seconds(settings: Settings) -> int:
    """Longer than the last message of a full prefetch window can wait and run."""
    longest = (settings.worker_prefetch_multiplier + 1) * settings.task_time_limit_seconds
    return max(VISIBILITY_SECONDS, longest + 60)


def _database(address: Address) -> int:
    if not address.path:
        return 0
    if not address.path.isdecimal():
        raise SettingsError("BROKER_URL: the path of a redis:// URL is a database number, such as /0")
    return int(address.path)


class RedisTransport:
    """See `Transport`. Publishing is one pipeline of `LPUSH`."""

    def __init__(self, address: Address) -> None:
        self.fingerprint = fingerprint_of(address)
        self._line = Line(self.fingerprint, lambda: RedisSession(address), errors=(redis.RedisError, OSError))

    def publish(self, messages: Sequence[Message], *, deadline_seconds: float) -> list[Outcome]:
        """See `Transport`; `refused` carries the server's words (OOM, READONLY, LOADING, …)."""
        batch = Batch(messages, lpush)
        if not len(batch):
            return batch.close()
        try:
            self._line.call(lambda session, _: session.send(batch), deadline_seconds=deadline_seconds)
        except TransportUnavailable as trouble:
            return batch.close(trouble)
        return batch.close()

    def declare(self, *, deadline_seconds: float = 5.0) -> None:
        """Lists come and go with their messages: nothing to make, only to see that the server answers."""
        self._line.call(lambda session, _: session.ping(), deadline_seconds=deadline_seconds)

    def depths(self, queues: Sequence[str] = QUEUES, *, deadline_seconds: float = 2.0) -> dict[str, QueueDepth]:
        """See `Transport`; `unacked` is None while workers hold more than 1000 messages."""
        return self._line.call(lambda session, _: _depths(session, queues), deadline_seconds=deadline_seconds)

    def health(self, *, deadline_seconds: float = 2.0) -> tuple[str, ...]:
        """See `Transport`; warns of eviction and of a server that writes nothing to disk."""
        return self._line.call(lambda session, _: _warnings(session), deadline_seconds=deadline_seconds)

    def close(self) -> None:
        """See `Transport`."""
        self._line.close()


class RedisSession:
    """One connection; `Line` bounds it."""

    def __init__(self, address: Address) -> None:
        tls: dict[str, Any] = dict(address.tls or {})
        # Any: redis-py leaves the methods of a connection untyped.
        self._connection: Any = (Connection if address.tls is None else SSLConnection)(
            host=address.host,
            port=address.port or DEFAULT_PORT,
            db=_database(address),
            username=address.user,
            password=address.password,
            protocol=2,
            driver_info=None,
            client_name="alexandria",
            socket_timeout=NEVER_ALONE_SECONDS,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            **tls,
        )
        self._used_at = 0.0

    def open(self, until: float) -> None:
        """Connect, log in, and hear one answer, so that what fails later had been sent."""
        self._connection.socket_connect_timeout = max(0.01, min(CONNECT_TIMEOUT_SECONDS, until - monotonic()))
        self._connection.connect()
        self.ping()

    def usable(self) -> bool:
        """False after the server closed it; asks the server after five idle seconds."""
        try:
            if self._connection.can_read(0):
                return False
            if monotonic() - self._used_at > IDLE_SECONDS:
                self.ping()
        except (redis.RedisError, OSError):
            return False
        return True

    def cut(self) -> None:
        """See `Session`."""
        self._connection.disconnect()

    def close(self) -> None:
        """See `Session`."""
        self._connection.disconnect()

    def ask(self, *commands: Command) -> list[Any]:
        """One round trip; an error reply is returned in its place."""
        self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        return [self._reply() for _ in commands]

    def send(self, batch: Batch[Command]) -> None:
        """One round trip of one `LPUSH` a message, each reply noted as it comes."""
        packed = self._connection.pack_commands([command for _, _, command in batch])
        batch.begin()
        self._connection.send_packed_command(packed, check_health=False)
        for index, _, _ in batch:
            reply = self._reply()
            if isinstance(reply, redis.RedisError):
                batch.refuse(index, str(reply))
            else:
                batch.accept(index)

    def _reply(self) -> Any:
        """A reply or the server's error; only a lost connection is raised."""
        try:
            reply = self._connection.read_response(disconnect_on_error=False)
        except (redis.ResponseError, redis.BusyLoadingError, redis.AuthenticationError) as refusal:
            reply = refusal
        self._used_at = monotonic()
        return reply

    def ping(self) -> None:
        """Hear one answer, or raise the server's error."""
        (reply,) = self.ask(("PING",))
        if isinstance(reply, Exception):
            raise reply


def _depths(session: RedisSession, queues: Sequence[str]) -> dict[str, QueueDepth]:
    steps: list[Command] = [("LLEN", queue_key(queue, step)) for queue in queues for step in PRIORITIES]
    dead: list[Command] = [("LLEN", dead_letters_key(queue)) for queue in queues]
    *counts, held = _numbers(session.ask(*steps, *dead, ("HLEN", UNACKED_KEY)))
    unacked = _held_by_queue(session) if held <= UNACKED_COUNTED_UP_TO else None
    width = len(PRIORITIES)
    return {
        queue: QueueDepth(
            ready=sum(counts[place * width : (place + 1) * width]),
            unacked=None if unacked is None else unacked[queue],
            dead=counts[len(steps) + place],
        )
        for place, queue in enumerate(queues)
    }


def _numbers(replies: list[Any]) -> list[int]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return [int(reply) for reply in replies]


def _held_by_queue(session: RedisSession) -> Counter[str] | None:
    """How many messages of each queue workers hold; None when the server does not say."""
    (records,) = session.ask(("HVALS", UNACKED_KEY))
    if isinstance(records, Exception):
        return None
    return Counter(str(json.loads(record)[2]) for record in records)


def _warnings(session: RedisSession) -> tuple[str, ...]:
    (reply,) = session.ask(("INFO",))
    if isinstance(reply, NoPermissionError):
        return ("INFO is not allowed to this user: eviction and persistence are unknown",)
    if isinstance(reply, Exception):
        raise reply
    info = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    if info.get("redis_mode") == "cluster":
        raise TransportUnavailable("Redis Cluster is not supported: use one server or Sentinel")
    if info.get("role") == "slave":
        raise TransportUnavailable("this server is a read-only replica")
    warnings = []
    if info.get("maxmemory_policy", "").startswith("allkeys"):
        warnings.append(f"maxmemory-policy is {info['maxmemory_policy']}: a full server deletes whole queues")
    if info.get("aof_enabled") == "0":
        warnings.append("the append-only file is off: a restart loses messages")
    return tuple(warnings)
