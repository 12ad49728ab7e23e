"""Redis and Valkey: queues are lists in kombu's format, written and counted here, read by Celery."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any

import redis
from redis.connection import Connection, SSLConnection
from redis.exceptions import NoPermissionError, ReadOnlyError

from app.errors import TransportRejected, TransportUnavailable
from app.transports import redis_dead_letters
from app.transports.address import Address
from app.transports.base import PRIORITIES, QUEUES, DeadMessage, Message, Outcome, QueueDepth
from app.transports.batch import Batch
from app.transports.lease.scripts import SWEEP
from app.transports.lease.sweep import sweep_arguments, swept
from app.transports.line import Line
from app.transports.redis_admission import NotAdmitted, admit
from app.transports.redis_broker import CONNECT_TIMEOUT_SECONDS, DEFAULT_PORT, database_of, fingerprint_of
from app.transports.redis_format import (
    UNACKED_KEY,
    Command,
    dead_letters_key,
    lpush,
    queue_key,
    wake,
)
from app.transports.sentinel import master_of
from app.transports.tally import MESSAGES_RECOVERED, tally

UNACKED_COUNTED_UP_TO = 1000
_ITS_QUEUE = re.compile(rb'"([^"\\\x80-\xff]*)"\]$')
"""At the end of what a worker holds: the message before it may be one that no parser reads."""
IDLE_SECONDS = 5.0
NEVER_ALONE_SECONDS = 60.0
"""Socket timeout of the publisher: only a net under `Line`, which cuts at the caller's deadline."""


class RedisTransport:
    """See `Transport`. Publishing is one pipeline of `LPUSH`, and tokens for workers that wait."""

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
        """Lists come and go with their messages: nothing to make, only to see that the server will do.

        Raises `TransportRejected` for a cluster, and for a user without the rights that leases need.
        """
        try:
            self._line.call(lambda session, _: session.ping(), deadline_seconds=deadline_seconds)
        except TransportUnavailable as error:
            if isinstance(error.__cause__, NotAdmitted):
                raise TransportRejected(error.__cause__.detail) from error
            raise

    def depths(self, queues: Sequence[str] = QUEUES, *, deadline_seconds: float = 2.0) -> dict[str, QueueDepth]:
        """See `Transport`; `unacked` is None while workers hold more than 1000 messages."""
        return self._line.call(lambda session, _: _depths(session, queues), deadline_seconds=deadline_seconds)

    def health(self, *, deadline_seconds: float = 2.0) -> tuple[str, ...]:
        """See `Transport`; warns of eviction and of a server that writes nothing to disk."""
        return self._line.call(lambda session, _: _warnings(session), deadline_seconds=deadline_seconds)

    def tend(self, *, max_deliveries: int, deadline_seconds: float = 2.0) -> int:
        """See `Transport`: one sweep, unless another was just made."""
        arguments = sweep_arguments(max_deliveries=max_deliveries)
        answer = self._line.call(
            lambda session, _: SWEEP.run(session.ask_one, *arguments), deadline_seconds=deadline_seconds
        )
        found = swept(answer)
        returned = found.returned if found else 0
        tally.add(MESSAGES_RECOVERED, returned)
        return returned

    def take_dead(
        self, queues: Sequence[str] = QUEUES, *, limit: int = 100, deadline_seconds: float = 5.0
    ) -> list[DeadMessage]:
        """See `Transport`; two takers are given the same."""
        return self._line.call(
            lambda session, _: redis_dead_letters.take(session.ask, queues, limit=limit),
            deadline_seconds=deadline_seconds,
        )

    def forget_dead(self, messages: Sequence[DeadMessage], *, deadline_seconds: float = 5.0) -> int:
        """See `Transport`."""
        return self._line.call(
            lambda session, _: redis_dead_letters.forget(session.ask, messages), deadline_seconds=deadline_seconds
        )

    def close(self) -> None:
        """See `Transport`."""
        self._line.close()


class RedisSession:
    """One connection; `Line` bounds it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._is_demoted = False
        tls: dict[str, Any] = dict(address.tls or {})
        # Any: redis-py leaves the methods of a connection untyped.
        self._connection: Any = (Connection if address.tls is None else SSLConnection)(
            host=address.host,
            port=address.port or DEFAULT_PORT,
            db=database_of(address),
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
        """Connect, log in, and see that the server will do; with an answer heard, what fails later had been sent."""
        if self._address.sentinels:
            self._connection.host, self._connection.port = master_of(self._address)
        self._connection.socket_connect_timeout = max(0.01, min(CONNECT_TIMEOUT_SECONDS, until - monotonic()))
        self._connection.connect()
        admit(self.ask)

    def usable(self) -> bool:
        """False after the server closed it or is no longer the master; asks the server after five idle seconds."""
        if self._is_demoted:
            return False
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

    def ask(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """One round trip; an error reply is returned in its place."""
        self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        return [self._reply() for _ in commands]

    def ask_one(self, *command: str | float) -> Any:
        """One command; raises the server's error."""
        (reply,) = self.ask(command)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def send(self, batch: Batch[Command]) -> None:
        """One round trip of one `LPUSH` a message, each reply noted as it comes."""
        queues = Counter(message.queue for _, message, _ in batch)
        tokens = [command for queue, count in queues.items() for command in wake(queue, count)]
        packed = self._connection.pack_commands([command for _, _, command in batch] + tokens)
        batch.begin()
        self._connection.send_packed_command(packed, check_health=False)
        for index, _, _ in batch:
            reply = self._reply()
            if isinstance(reply, redis.RedisError):
                batch.refuse(index, str(reply))
            else:
                batch.accept(index)
        for _ in tokens:  # a lost one costs a waiting worker a second
            self._reply()

    def _reply(self) -> Any:
        """A reply or the server's error; only a lost connection is raised."""
        try:
            reply = self._connection.read_response(disconnect_on_error=False)
        except (redis.ResponseError, redis.BusyLoadingError, redis.AuthenticationError) as refusal:
            reply = refusal
            self._is_demoted = isinstance(refusal, ReadOnlyError) and bool(self._address.sentinels)
        self._used_at = monotonic()
        return reply

    def ping(self) -> None:
        """Hear one answer, or raise the server's error."""
        self.ask_one("PING")


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
    return Counter(found[1].decode() for found in map(_ITS_QUEUE.search, records) if found)


def _warnings(session: RedisSession) -> tuple[str, ...]:
    (reply,) = session.ask(("INFO",))
    if isinstance(reply, NoPermissionError):
        return ("INFO is not allowed to this user: eviction and persistence are unknown",)
    if isinstance(reply, Exception):
        raise reply
    info = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    if info.get("role") == "slave":
        raise TransportUnavailable("this server is a read-only replica")
    warnings = []
    if info.get("maxmemory_policy", "").startswith("allkeys"):
        warnings.append(f"maxmemory-policy is {info['maxmemory_policy']}: a full server deletes whole queues")
    if info.get("aof_enabled") == "0":
        warnings.append("the append-only file is off: a restart loses messages")
    return tuple(warnings)
