"""One AMQP connection with a channel in confirm mode, for publishing and declaring."""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

import amqp
from amqp import spec

from app.errors import TransportUnavailable
from app.transports.address import Address
from app.transports.batch import Batch
from app.transports.line import NotNow
from app.transports.rabbitmq_broker import CONNECT_TIMEOUT_SECONDS, DEFAULT_PORTS, SOCKET_SETTINGS, tls_options
from app.transports.rabbitmq_topology import Topology

IDLE_SECONDS = 5.0
GOODBYE_SECONDS = 0.05
BLOCKED_SECONDS = 60.0
"""How long a blocked connection is kept. Each new one costs a batch of copies, sent once the alarm is over."""


class RabbitSession:
    """See `Session`; `Line` bounds it.

    No heartbeats: nobody would send them between two publishes, and each publish has its own deadline.
    """

    def __init__(self, address: Address) -> None:
        host = f"[{address.host}]" if ":" in address.host else address.host
        self._connection = amqp.Connection(
            host=f"{host}:{address.port or DEFAULT_PORTS[address.scheme]}",
            userid=address.user or "guest",
            password=address.password or "guest",
            login_method="PLAIN",
            virtual_host=address.path or "/",
            ssl=tls_options(address) if address.tls is not None else False,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            heartbeat=0,
            socket_settings=SOCKET_SETTINGS,
            client_properties={"connection_name": "alexandria publisher"},
            on_blocked=self._on_blocked,
            on_unblocked=self._on_unblocked,
        )
        self._channel: Any = None
        self._socket: socket.socket | None = None
        self._cut = False
        self._published = 0
        self._waiting: dict[int, tuple[Batch[amqp.Message], int, str]] = {}
        self._blocked_at: float | None = None
        self._used_at = 0.0

    def open(self, until: float) -> None:
        """Connect, log in, and put a channel into confirm mode: three answers of the broker."""
        self._connection.connect_timeout = max(0.01, min(CONNECT_TIMEOUT_SECONDS, until - monotonic()))
        self._connection.connect()
        self._socket = self._connection.sock
        if self._cut:
            raise TransportUnavailable("the deadline had passed while connecting")
        self._channel = self._connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self._used_at = monotonic()

    def usable(self) -> bool:
        """False after the broker closed it; asks the broker after five idle seconds."""
        try:
            self._read_what_came()
            if self._blocked_at is not None:
                return monotonic() - self._blocked_at < BLOCKED_SECONDS
            if monotonic() - self._used_at > IDLE_SECONDS:
                self.ask()
        except (amqp.AMQPError, OSError, TransportUnavailable):
            return False
        return True

    def cut(self) -> None:
        """See `Session`. The socket is shut, not closed: that is left to the thread that uses it."""
        self._cut = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See `Session`. Says goodbye if that fits into the socket's buffer."""
        if self._connection.connected:
            with suppress(amqp.AMQPError, OSError), self._connection.transport.having_timeout(GOODBYE_SECONDS):
                self._connection.send_method(spec.Connection.Close, "BsBB", (200, "goodbye", 0, 0))
        self._connection.collect()

    def ask(self) -> None:
        """One round trip without an effect; `TransportUnavailable` while publishers are blocked."""
        self._refuse_if_blocked()
        self._channel.basic_qos(0, 0, False)
        self._used_at = monotonic()

    def send(self, batch: Batch[amqp.Message], until: float) -> None:
        """Publish all, then wait for the confirms until all are in or the time is up."""
        self._refuse_if_blocked()
        batch.begin()
        for index, message, envelope in batch:
            self._published += 1
            self._waiting[self._published] = (batch, index, str(envelope.message_id))
            self._channel.basic_publish(envelope, exchange="", routing_key=message.queue, mandatory=True)
        while batch.undecided():
            left = until - monotonic()
            if left <= 0:
                self._give_up(batch.undecided())
                return
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=left)
        self._used_at = monotonic()

    def declare(self, wanted: Topology) -> str | None:
        """Declare everything on a channel of its own; what differs, in RabbitMQ's words, or None."""
        channel = self._connection.channel()
        try:
            for exchange in wanted.exchanges:
                channel.exchange_declare(exchange, "direct", durable=True, auto_delete=False)
            for queue, arguments in wanted.queues.items():
                channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
            for binding in wanted.bindings:
                channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)
        except (amqp.PreconditionFailed, amqp.ResourceLocked) as error:
            return str(error.reply_text)
        channel.close()
        return None

    def counts(self, queues: list[str]) -> dict[str, int]:
        """Ready messages of each queue; 0 for one that does not exist."""
        found = dict.fromkeys(queues, 0)
        channel: Any = self._connection.channel()
        for queue in queues:
            try:
                _, found[queue], _ = channel.queue_declare(queue, passive=True)
            except amqp.NotFound:  # closes the channel
                channel = self._connection.channel()
        channel.close()
        return found

    def _give_up(self, missing: int) -> None:
        """Keep a blocked connection, whose messages are still on their way; end a silent one."""
        if self._blocked_at is None:
            raise TransportUnavailable(f"no confirm for {missing} messages before the deadline")

    def _refuse_if_blocked(self) -> None:
        if self._blocked_at is not None:
            raise NotNow("RabbitMQ blocks publishers (memory or disk alarm)")

    def _read_what_came(self) -> None:
        if not self._connection.connected:
            raise TransportUnavailable("the broker closed the connection")
        while True:
            try:
                self._connection.drain_events(timeout=0)
            except TimeoutError:
                return

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for batch, index, _ in self._settle(tag, multiple):
            batch.accept(index)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for batch, index, _ in self._settle(tag, multiple):
            batch.refuse(index, "RabbitMQ could not take the message (nack)")

    def _on_return(self, error: Exception, _exchange: str, queue: str, returned: amqp.Message) -> None:
        """Comes before the ack of the same message."""
        mark = returned.properties.get("message_id")
        for batch, index, known in self._waiting.values():
            if known == mark:
                batch.refuse(index, f"there is no queue {queue!r} on the broker ({error})")

    def _settle(self, tag: int, multiple: bool) -> list[tuple[Batch[amqp.Message], int, str]]:
        tags = [known for known in self._waiting if known <= tag] if multiple else [tag]
        return [self._waiting.pop(known) for known in tags if known in self._waiting]

    def _on_blocked(self, _reason: str) -> None:
        self._blocked_at = monotonic()

    def _on_unblocked(self) -> None:
        self._blocked_at = None
