"""Which transport serves which URL scheme. A third broker is its files and one row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.errors import SettingsError
from app.settings import Settings, get_settings
from app.transports import rabbitmq_broker, redis_broker, sentinel
from app.transports.address import Address, parse_one
from app.transports.base import Broker, Inspection, Transport
from app.transports.rabbitmq import RabbitTransport
from app.transports.rabbitmq_inspection import RabbitInspection
from app.transports.redis import RedisTransport
from app.transports.redis_inspection import RedisInspection


def _redis_transport(address: Address, _settings: Settings) -> Transport:
    return RedisTransport(address)


def _rabbit_transport(address: Address, settings: Settings) -> Transport:
    return RabbitTransport(address, queue_type=settings.rabbitmq_queue_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What serves the URLs of some schemes."""

    schemes: tuple[str, ...]
    transport: Callable[[Address, Settings], Transport]
    broker: Callable[[Address, Settings], Broker]
    inspection: Callable[[Address, Settings], Inspection]


KINDS = (
    Kind(
        schemes=redis_broker.SCHEMES,
        transport=_redis_transport,
        broker=redis_broker.broker_for,
        inspection=RedisInspection,
    ),
    Kind(
        schemes=rabbitmq_broker.SCHEMES,
        transport=_rabbit_transport,
        broker=rabbitmq_broker.broker_for,
        inspection=RabbitInspection,
    ),
)


def parse_address(url: str) -> Address:
    """Take a broker URL apart, or raise `SettingsError` with a line that says what is wrong, without the URL."""
    return sentinel.parse_sentinels(url) if url.lower().startswith(f"{sentinel.SCHEME}:") else parse_one(url)


def open_transport(url: str, settings: Settings | None = None) -> Transport:
    """The transport for a broker URL, which connects when first used; `SettingsError` for a wrong URL.

    Without `settings`, those of this process: queues have the same arguments in every one.
    """
    settings = settings or get_settings()
    address = _named(url, settings)
    return _kind_of(address).transport(address, settings)


def broker_for(settings: Settings) -> Broker:
    """The broker that `BROKER_URL` names, as data; `SettingsError` for a wrong URL."""
    address = _named(settings.broker, settings)
    return _kind_of(address).broker(address, settings)


def inspection_of(settings: Settings) -> Inspection:
    """How the broker that `BROKER_URL` names is checked, and put right; `SettingsError` for a wrong URL."""
    address = _named(settings.broker, settings)
    return _kind_of(address).inspection(address, settings)


def _named(url: str, settings: Settings) -> Address:
    return replace(parse_address(url), name=settings.broker_name)


def _kind_of(address: Address) -> Kind:
    for kind in KINDS:
        if address.scheme in kind.schemes:
            return kind
    known = ", ".join(f"{scheme}://" for kind in KINDS for scheme in kind.schemes)
    raise SettingsError(f"BROKER_URL: no transport for {address.scheme}://, there are {known}")
