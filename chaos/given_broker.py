"""A broker that an operator names: what must be so before the suite breaks the lines to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pika
import pika.exceptions
import redis
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from chaos.broker_contents import NOT_FOUND, QUEUES, contents
from chaos.given_address import TIMEOUT_SECONDS, BrokerRefused, resolve
from chaos.polling import DeadlineMissed, poll_until
from chaos.servers.redis import version_said

GONE_WITHIN_SECONDS = 2.0
"""How long a server may still count a client that has gone, of whom the first is the suite itself."""
UNUSABLE = (OSError, redis.RedisError, pika.exceptions.AMQPError, AMQPConnectorException)
LINKS = frozenset("MS")
"""Flags of `CLIENT LIST`: a connection between a master and its replica, which takes no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBroker:
    """`url`, `place`, `kind`, `is_loopback`: see `GivenAddress`. `version`: as the server says."""

    url: str = field(repr=False)
    place: str
    kind: str
    is_loopback: bool
    version: str

    def expect_free(self) -> None:
        """`BrokerRefused` where somebody uses it now, or something is left on it, such as by a scenario that failed."""
        _look(self.kind, self.url, self.place)


def accept(url: str, *, times_told: int) -> GivenBroker:
    """The broker, if the suite may use it, or `BrokerRefused`.

    It is a `redis://` or `amqp://` address on the loopback, unless `times_told` twice that it may be elsewhere; it
    answers; nobody else uses it, since both would take each other's messages; and it holds nothing, since the checker
    takes for the suite's own whatever it finds there.
    """
    address = resolve(url, times_told=times_told)
    return GivenBroker(
        url=address.url,
        place=address.place,
        kind=address.kind,
        is_loopback=address.is_loopback,
        version=_look(address.kind, address.url, address.place),
    )


def _look(kind: str, url: str, place: str) -> str:
    """Its version, if it is free and empty."""
    try:
        version = VERSIONS[kind](url)
        others = _who_stays(kind, url)
        found = contents(url)
    except UNUSABLE as error:
        raise BrokerRefused(f"{place} cannot be used: {str(error) or type(error).__name__}") from error
    advice = "give a database (Redis) or virtual host (RabbitMQ) of its own, which is empty"
    if others:
        raise BrokerRefused(f"{place} is in use by others: {', '.join(others)}; {advice}")
    if not found.is_empty:
        what = (
            f"{found.messages} messages, {sum(found.dead.values())} dead letters, {len(found.orphan_keys)} other keys"
        )
        raise BrokerRefused(f"{place} holds {what}; {advice}")
    return version


def _who_stays(kind: str, url: str) -> list[str]:
    """Others that are there, and not only about to go."""
    with suppress(DeadlineMissed):
        poll_until(lambda: not OTHERS[kind](url), within_seconds=GONE_WITHIN_SECONDS, what="nobody else is there")
        return []
    return OTHERS[kind](url)


def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)


def _rabbitmq(url: str) -> pika.BlockingConnection:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.blocked_connection_timeout = TIMEOUT_SECONDS
    parameters.stack_timeout = 2 * TIMEOUT_SECONDS
    parameters.connection_attempts = 1
    return pika.BlockingConnection(parameters)


def _version_of_redis(url: str) -> str:
    with _redis(url) as client:
        return version_said(client.info("server"))


def _version_of_rabbitmq(url: str) -> str:
    with closing(_rabbitmq(url)) as connection:
        return str(connection._impl.server_properties["version"])  # noqa: SLF001  pika has no other way to it


def _clients_of_redis(url: str) -> list[str]:
    """Who has the same database selected, the asking connection apart."""
    with _redis(url) as client:
        own, number = str(client.client_id()), str(client.get_connection_kwargs().get("db") or 0)
        names = Counter(
            one["name"] or one["addr"]
            for one in client.client_list()
            if one["id"] != own and one["db"] == number and not LINKS & set(one["flags"])
        )
    return [f"connections of {name} ({count})" for name, count in names.items()]


def _consumers_of_rabbitmq(url: str) -> list[str]:
    """Of the queues that the product reads. A refusal costs the channel, so each question has its own."""
    found = []
    with closing(_rabbitmq(url)) as connection:
        for queue in (name for each in QUEUES for name in (each, f"{each}.dead")):
            try:
                count = connection.channel().queue_declare(queue, passive=True).method.consumer_count
            except pika.exceptions.ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
            else:
                found += [f"consumers of {queue} ({count})"] if count else []
    return found


VERSIONS: dict[str, Callable[[str], str]] = {"redis": _version_of_redis, "rabbitmq": _version_of_rabbitmq}
OTHERS: dict[str, Callable[[str], list[str]]] = {"redis": _clients_of_redis, "rabbitmq": _consumers_of_rabbitmq}
