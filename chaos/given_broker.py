"""A broker that an operator names: what must be so before the suite breaks the lines to it.

BrokerRefused   it is not touched: the address, why, and what would help
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import pika
import pika.exceptions
import redis

from chaos.broker_contents import contents
from chaos.processes import HarnessError
from chaos.servers.redis import version_said

TIMEOUT_SECONDS = 5.0
KINDS = {"redis": "redis", "amqp": "rabbitmq"}
TOLD_TWICE = 2


class BrokerRefused(HarnessError):
    """A broker that must not, or cannot, be used; nothing was sent to it but questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBroker:
    """`place`: the address without user and password. `kind`: `redis` or `rabbitmq`. `version`: as the server says."""

    url: str
    place: str
    kind: str
    version: str


def accept(url: str, *, times_told: int) -> GivenBroker:
    """The broker, if the suite may use it, or `BrokerRefused`.

    It is a `redis://` or `amqp://` address on the loopback, unless `times_told` twice that it may be elsewhere; it
    answers; and it holds nothing, since the checker takes for the suite's own whatever it finds there.
    """
    place, kind = _place(url)
    if not _is_loopback(urlsplit(url).hostname or "") and times_told < TOLD_TWICE:
        raise BrokerRefused(
            f"{place} is not on this machine, and what uses it would be cut off again and again;"
            " if that is meant, say --beyond-loopback twice"
        )
    try:
        version, found = VERSIONS[kind](url), contents(url)
    except (OSError, redis.RedisError, pika.exceptions.AMQPError) as error:
        raise BrokerRefused(f"{place} cannot be used: {str(error) or type(error).__name__}") from error
    if not found.is_empty:
        what = (
            f"{found.messages} messages, {sum(found.dead.values())} dead letters, {len(found.orphan_keys)} other keys"
        )
        raise BrokerRefused(f"{place} holds {what}; give an empty database (Redis) or virtual host (RabbitMQ)")
    return GivenBroker(url=url, place=place, kind=kind, version=version)


def _place(url: str) -> tuple[str, str]:
    """The address without its password, and the kind of the broker."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme not in KINDS:
        raise BrokerRefused(f"{place}: the lines of the suite carry {' and '.join(f'{one}://' for one in KINDS)}")
    try:
        complete = bool(parts.hostname and parts.port)
    except ValueError:
        complete = False
    if not complete:
        raise BrokerRefused(f"{place}: a host and a port are needed")
    return place, KINDS[parts.scheme]


def _is_loopback(host: str) -> bool:
    """Every address that the name stands for is one of the loopback."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found)


def _version_of_redis(url: str) -> str:
    with redis.Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS) as client:
        return version_said(client.info("server"))


def _version_of_rabbitmq(url: str) -> str:
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.blocked_connection_timeout = TIMEOUT_SECONDS
    parameters.connection_attempts = 1
    with closing(pika.BlockingConnection(parameters)) as connection:
        return str(connection._impl.server_properties["version"])  # noqa: SLF001  pika has no other way to it


VERSIONS: dict[str, Callable[[str], str]] = {"redis": _version_of_redis, "rabbitmq": _version_of_rabbitmq}
