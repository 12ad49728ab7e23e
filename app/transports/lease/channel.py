"""Kombu's Redis channel with leases: claims in one atomic step, the process as owner, dead letters, AMQP's priorities.

What is overridden, and why, stands beside each method; everything else (fanout, remote control, events, keys) is
kombu's own. Pinned to kombu 5.7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from queue import Empty
from time import monotonic
from typing import Any

import structlog
from celery.worker import state
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from app.transports.lease.announcements import Announcements
from app.transports.lease.holding import Holding, holding_of
from app.transports.lease.owner import How, Settlement, told
from app.transports.lease.scripts import CLAIM
from app.transports.lease.sweep import LEASE_SECONDS
from app.transports.redis_format import LAST_STEP, queue_key, wake, wake_key
from app.transports.sentinel import master_not_found

UNLIMITED_CLAIM = 16
EVENT_EXCHANGES = ("celeryev",)
REST_SECONDS = 0.5
SEEN_WITHIN_SECONDS = 0.1
"""A server near by has seen an owner by then; one far away is not waited for in the loop."""

log = structlog.get_logger(__name__)


class Flight:
    """A claim that was sent and not answered yet."""

    def __init__(self, claim: int, settlements: list[Settlement]) -> None:
        self.claim = claim
        self.settlements = settlements


class LeaseQoS(kombu_redis.QoS):
    """Which messages this channel has delivered. The records on the server are written by the claim itself."""

    channel: LeaseChannel
    _on_collect: Any

    def append(self, message: Any, delivery_tag: str) -> None:
        """Only in memory: the claim has recorded it."""
        virtual.QoS.append(self, message, delivery_tag)

    def can_consume(self) -> bool:
        """With half of the window free, so that a claim is worth its round trip; or with less when nothing waits here.

        All that is held runs then, and a slot may be free: with a window of one message a slot, half is many slots.
        """
        window, holding = self.prefetch_count, self.channel.holding
        if not window or holding.undelivered:
            return True
        held = len(holding.owner)
        nothing_waits = held <= len(state.active_requests)
        return window - held >= (1 if nothing_waits else max(1, window // 2))

    def room(self) -> int:
        """How many messages fit into the window."""
        window = self.prefetch_count
        return max(0, window - len(self.channel.holding.owner)) if window else UNLIMITED_CLAIM

    def ack(self, delivery_tag: str) -> None:
        """Told with the next claim or by the pulse; never waits for the server."""
        self._settle(delivery_tag, How.ACKNOWLEDGE)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Back to the front of its queue, or to the dead letters."""
        self._settle(delivery_tag, How.GIVE_BACK if requeue else How.REJECT)

    def _settle(self, delivery_tag: str, how: How) -> None:
        self.channel.holding.owner.settle(delivery_tag, how)
        virtual.QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ARG002  kombu's signature
        """AMQP's recover: everything goes back."""
        for tag in list(self._delivered or ()):
            self._settle(tag, How.GIVE_BACK)

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ARG002  kombu's signature
        """Nothing: a lost channel loses no message. The process owns them, and runs them."""
        self._on_collect.cancel()

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Nothing: the sweep finds dead owners."""

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: ARG002
        """See `reject`."""
        self._settle(tag, How.GIVE_BACK)


class LeaseChannel(kombu_redis.Channel):
    """A channel of kombu's Redis transport with leases."""

    QoS = LeaseQoS
    priority_steps = list(range(LAST_STEP + 1))
    max_deliveries = 5
    from_transport_options = (*kombu_redis.Channel.from_transport_options, "max_deliveries")
    qos: LeaseQoS
    _expires: dict[str, int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._flight: Flight | None = None
        self._awake = True
        self._script_known = True
        self._rest_until = 0.0
        self._refused = ""
        self._rotation = 0
        self._unacknowledged: set[str] = set()
        self._holding: Holding | None = None
        self._announcements: Announcements | None = None
        super().__init__(*args, **kwargs)

    @property
    def holding(self) -> Holding:
        """What this process holds on this broker."""
        if self._holding is None:
            self._holding = holding_of(self)
        return self._holding

    def new_pool(self) -> Any:
        """A pool of connections of its own, for the pulse."""
        return self._get_pool()  # type: ignore[attr-defined]  # kombu's stub knows no private method

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Without redis-py's own retries: each would wait for one more timeout, and whoever calls tries again."""
        params: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[misc]  # as above
        return {**params, "retry": Retry(NoBackoff(), 0)}

    # Consuming

    def basic_consume(self, queue: str, no_ack: bool = False, *args: Any, **kwargs: Any) -> Any:
        """Remember what nobody will acknowledge: it is taken without a record."""
        if no_ack:
            self._unacknowledged.add(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _brpop_start(self, timeout: int | None = None) -> None:
        """Claim while there was something last time; else wait for a token."""
        queues = list(self.active_queues)
        if not queues or monotonic() < self._rest_until or not self._may_claim(queues):
            return
        connection = self.client.connection
        self._in_poll, self._brpop_sent_at = connection, monotonic()
        if self.holding.undelivered or self._awake:
            self._send_claim(connection, queues)
        else:
            seconds = self.brpop_timeout if timeout is None else timeout
            connection.send_command("BRPOP", *(wake_key(queue) for queue in queues), seconds)

    def _may_claim(self, queues: Sequence[str]) -> bool:
        """What is taken with a record needs an owner that is seen to live. Asked again at the next turn of the loop."""
        recorded = not self._unacknowledged.issuperset(queues)
        return not recorded or self.holding.may_claim(self, within_seconds=SEEN_WITHIN_SECONDS)

    def _send_claim(self, connection: Any, queues: Sequence[str]) -> None:
        owner = self.holding.owner
        self._flight = Flight(owner.new_claim(), owner.take_untold())
        try:
            connection.send_command(*self._claim_command(self._flight, queues, self.qos.room()))
        except BaseException:
            self._lose_flight()
            raise

    def _claim_command(self, flight: Flight, queues: Sequence[str], wanted: int) -> tuple[Any, ...]:
        self._rotation += 1
        turn = self._rotation % len(queues)
        flags = [(queue, int(queue in self._unacknowledged)) for queue in (*queues[turn:], *queues[:turn])]
        return CLAIM.command(
            *(self.holding.owner.id, flight.claim, wanted, *told(flight.settlements)),
            *(word for pair in flags for word in pair),
            known=self._script_known,
        )

    def _brpop_read(self, **_: Any) -> bool:
        """The answer to a claim, or a token."""
        flight = self._flight
        try:
            answer = self.client.connection.read_response()
        except ResponseError as error:
            self._lose_flight()
            self._rest(error)
            raise Empty from error
        except BaseException:
            self._lose_flight()
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
        self._script_known, self._refused = True, ""
        if flight is None:
            self._awake = True
            raise Empty
        self._flight = None
        self._awake = bool(answer)
        self._receive_claimed(answer, claim=flight.claim)
        return self._deliver_claimed()

    def _receive_claimed(self, answer: list[bytes], *, claim: int) -> None:
        words = iter(answer)
        for queue, tag, raw in zip(words, words, words, strict=True):
            name = bytes_to_str(queue)
            if name not in self._unacknowledged:
                self.holding.owner.hold(bytes_to_str(tag), claim=claim)
            self.holding.undelivered.append((name, bytes_to_str(tag), raw))

    def _deliver_claimed(self) -> bool:
        """Hand over everything claimed. What an error leaves behind is handed over next time."""
        delivered = False
        for queue, raw_message in self._undelivered():
            self.connection._deliver(raw_message, queue)  # noqa: SLF001  kombu's way in
            delivered = True
        if not delivered:
            raise Empty
        return True

    def _undelivered(self) -> Iterator[tuple[str, Any]]:
        waiting: deque[tuple[str, str, bytes]] = self.holding.undelivered
        while waiting:
            queue, tag, raw = waiting.popleft()
            try:
                message = loads(bytes_to_str(raw))
                self.decode_body(message.get("body"), message["properties"].get("body_encoding"))
                dict(message.get("headers") or {})
                dict(message["properties"].get("delivery_info") or {})
            except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
                # Raised later it would end every worker.
                log.error("undecodable message", queue=queue, error=str(error))
                self.holding.owner.settle(tag, How.REJECT)
                continue
            message["properties"]["delivery_tag"] = tag
            yield queue, message

    def _rest(self, error: ResponseError) -> None:
        """A server that refuses (full, read-only, busy) is asked again after a while; the worker lives on."""
        if isinstance(error, NoScriptError):
            self._script_known = False
            return
        self._rest_until = monotonic() + REST_SECONDS
        if str(error) != self._refused:
            self._refused = str(error)
            log.warning("the broker refuses; trying again", why=self._refused)

    def _lose_flight(self) -> None:
        """Nobody knows what the server did with the claim that is out: settle again, and give back what it took."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self.holding.owner.put_back(flight.settlements)
            self.holding.owner.never_read(flight.claim)
        self._awake = True

    def _on_connection_disconnect(self, connection: Any) -> None:
        if self._in_poll is connection:
            self._lose_flight()
        super()._on_connection_disconnect(connection)  # type: ignore[misc]  # as above

    def close(self) -> None:
        """Never waits for an answer that is still out."""
        if self._in_poll:
            self._lose_flight()
            self._in_poll = None
        if self._announcements is not None:
            self._announcements.close()
        super().close()

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ARG002  kombu's signature
        """One message at once, with its record (kombu's own `RPOP` loses it when the reply is cut)."""
        owner = self.holding.owner
        if not self.holding.may_claim(self, within_seconds=LEASE_SECONDS):
            raise Empty
        claim = owner.new_claim()
        with self.conn_or_acquire() as client:
            answer = CLAIM.run(client.execute_command, owner.id, claim, 1, 0, queue, 0)
        if not answer:
            raise Empty
        _, tag, raw = answer
        message = loads(bytes_to_str(raw))
        message["properties"]["delivery_tag"] = bytes_to_str(tag)
        owner.hold(bytes_to_str(tag), claim=claim)
        return message

    # Publishing

    def _get_message_priority(self, message: dict[str, Any], reverse: bool = False) -> int:
        """The list a message belongs to: AMQP's order, 9 in the list that is served first, none is lowest."""
        priority: int = super()._get_message_priority(message, reverse)
        return LAST_STEP - priority

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **kwargs: Any) -> None:
        """Events of tasks go without waiting; what is asked of workers (remote control) waits to be taken."""
        if exchange not in EVENT_EXCHANGES or "_publish_batch" in kwargs:
            super()._put_fanout(exchange, message, routing_key, **kwargs)  # type: ignore[misc]  # as above
            return
        if self._announcements is None:
            self._announcements = Announcements(self.pool)
        payload = dumps(message)
        topics: list[str] = self._get_publish_topics(exchange, routing_key)  # type: ignore[attr-defined]  # as above
        for topic in topics:
            self._announcements.publish(topic, payload)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """With a token for a worker that waits."""
        batch = kwargs.get("_publish_batch")
        if batch is not None or queue in self._expires:
            super()._put(queue, message, **kwargs)
        if batch is not None:
            for name, *arguments in wake(queue):
                batch.add(str(name).lower(), *arguments)
            return
        with self.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
            if queue not in self._expires:
                pipe.lpush(queue_key(queue, self._get_message_priority(message)), dumps(message))
            for command in wake(queue):
                pipe.execute_command(*command)
            pipe.execute()


class LeaseSentinelChannel(LeaseChannel, kombu_redis.SentinelChannel):
    """The same to the master that the Sentinels name."""

    from_transport_options = (*kombu_redis.SentinelChannel.from_transport_options, "max_deliveries")
    master_name: str

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except MasterNotFoundError as error:
            raise master_not_found(self.master_name) from error


class LeaseTransport(kombu_redis.Transport):
    """`redis://` and `rediss://`."""

    Channel = LeaseChannel


class LeaseSentinelTransport(kombu_redis.SentinelTransport):
    """`sentinel://`."""

    Channel = LeaseSentinelChannel
