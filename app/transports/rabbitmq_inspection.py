"""Compares what stands on RabbitMQ with the topology, through pika: another client than the one that carries calls."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, ProbableAuthenticationError

from app.errors import TransportUnavailable
from app.settings import Settings
from app.transports.address import Address
from app.transports.base import Findings
from app.transports.rabbitmq_broker import CONNECT_TIMEOUT_SECONDS, DEFAULT_PORTS, fingerprint_of
from app.transports.rabbitmq_difference import differences
from app.transports.rabbitmq_management import Management
from app.transports.rabbitmq_topology import Topology, topology

PATIENCE_SECONDS = 20.0
NOT_FOUND, NOT_IMPLEMENTED = 404, 540
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs every refusal; here they are answers
NO_MANAGEMENT = (
    "the management API does not answer this user: of each queue only the first difference is told, of bindings none"
    " (RABBITMQ_MANAGEMENT_URL)"
)


class RabbitInspection:
    """See `Inspection`."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._url = settings.rabbitmq_management_url
        self._wanted = topology(queue_type=settings.rabbitmq_queue_type)

    def check(self) -> Findings:
        """See `Inspection`."""
        with self._connected() as connection, closing(Management(self._address, url=self._url)) as management:
            told = differences(management, self._wanted)
            if told is not None:
                return told
            return Findings(
                differences=tuple(_differences_by_declaring(connection, self._wanted)), notes=(NO_MANAGEMENT,)
            )

    def apply(self) -> Findings:
        """See `Inspection`. A queue that differs is replaced when it is empty and nobody reads it."""
        before = self.check()
        refusals: list[str] = []
        if before.differences:
            with self._connected() as connection:
                refusals = list(self._put_right(connection))
        after = self.check()
        return Findings(
            differences=(*refusals, *after.differences),
            made=tuple(line for line in before.differences if line not in after.differences),
            notes=after.notes,
        )

    def _put_right(self, connection: BlockingConnection) -> Iterator[str]:
        for exchange in self._wanted.exchanges:
            with suppress(ChannelClosedByBroker):  # it differs; queues hang on it, so that stays with the operator
                connection.channel().exchange_declare(exchange, "direct", durable=True)
        for queue, arguments in self._wanted.queues.items():
            if _declared(connection, queue, arguments) is None:
                continue
            refusal = _why_not_replaced(connection, queue)
            if refusal is None:
                self._delete_empty(queue)
                _declared(connection, queue, arguments)
            else:
                yield refusal
        channel = connection.channel()
        for binding in self._wanted.bindings:
            channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)

    def _delete_empty(self, queue: str) -> None:
        """By the server's own check where it has one: of a quorum queue it refuses the condition."""
        try:
            with self._session() as connection:
                connection.channel().queue_delete(queue, if_unused=True, if_empty=True)
        except (ConnectionClosedByBroker, ChannelClosedByBroker) as refusal:
            if refusal.reply_code != NOT_IMPLEMENTED:
                raise
            with self._session() as connection:
                connection.channel().queue_delete(queue)

    @contextmanager
    def _connected(self) -> Iterator[BlockingConnection]:
        try:
            with self._session() as connection:
                yield connection
        except (AMQPError, OSError) as error:
            raise TransportUnavailable(f"{fingerprint_of(self._address)}: {_explain(error)}") from error

    @contextmanager
    def _session(self) -> Iterator[BlockingConnection]:
        connection = BlockingConnection(_parameters(self._address))
        try:
            yield connection
        finally:
            if connection.is_open:
                connection.close()


def _parameters(address: Address) -> pika.ConnectionParameters:
    tls: dict[str, Any] = {}
    if address.tls is not None:
        tls["ssl_options"] = pika.SSLOptions(_context(address.tls), server_hostname=address.host)
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port or DEFAULT_PORTS[address.scheme],
        virtual_host=address.path or "/",
        credentials=pika.PlainCredentials(address.user or "guest", address.password or "guest"),
        socket_timeout=CONNECT_TIMEOUT_SECONDS,
        stack_timeout=2 * CONNECT_TIMEOUT_SECONDS,
        blocked_connection_timeout=PATIENCE_SECONDS,
        connection_attempts=1,
        **tls,
    )


def _context(tls: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.get("ssl_ca_certs"))
    if tls["ssl_cert_reqs"] != "required":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in tls:
        context.load_cert_chain(tls["ssl_certfile"], tls.get("ssl_keyfile"))
    return context


def _explain(error: Exception) -> str:
    if isinstance(error, ProbableAuthenticationError):
        return "user or password refused"
    if isinstance(error, ConnectionClosedByBroker | ChannelClosedByBroker):
        return str(error.reply_text)
    return str(error) or str(error.__context__ or "") or type(error).__name__


def _differences_by_declaring(connection: BlockingConnection, wanted: Topology) -> Iterator[str]:
    """The server refuses to declare what it holds with other arguments, and says the first that differs."""
    for exchange in wanted.exchanges:
        try:
            connection.channel().exchange_declare(exchange, passive=True)
            connection.channel().exchange_declare(exchange, "direct", durable=True)
        except ChannelClosedByBroker as refusal:
            missing = refusal.reply_code == 404
            yield f"exchange {exchange} is missing" if missing else f"exchange {exchange}: {refusal.reply_text}"
    for queue, arguments in wanted.queues.items():
        if _depth(connection, queue) is None:
            yield f"queue {queue} is missing"
        elif refusal_text := _declared(connection, queue, arguments):
            yield f"queue {queue}: {refusal_text}"


def _declared(connection: BlockingConnection, queue: str, arguments: dict[str, Any]) -> str | None:
    """Declare a queue; the server's words when it holds another of that name."""
    try:
        connection.channel().queue_declare(queue, durable=True, arguments=arguments)
    except ChannelClosedByBroker as refusal:
        return str(refusal.reply_text)
    return None


def _depth(connection: BlockingConnection, queue: str) -> tuple[int, int] | None:
    """Ready messages, and who reads them; None: there is no such queue."""
    channel: BlockingChannel = connection.channel()
    try:
        found = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker:
        return None
    return found.message_count, found.consumer_count


def _why_not_replaced(connection: BlockingConnection, queue: str) -> str | None:
    messages, readers = _depth(connection, queue) or (0, 0)
    if readers:
        return f"queue {queue} is not replaced: {readers} consumers read it, stop the workers first"
    return f"queue {queue} is not replaced: it holds {messages} messages" if messages else None
