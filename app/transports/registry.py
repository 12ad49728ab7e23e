"""Which transport serves which URL scheme. A third broker is one file and one line here."""

from __future__ import annotations

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


TRANSPORTS = (
    (redis_broker.SCHEMES, _redis_transport, redis_broker.broker_for, RedisInspection),
    (rabbitmq_broker.SCHEMES, _rabbit_transport, rabbitmq_broker.broker_for, RabbitInspection),
)


def parse_address(url: str) -> Address:
    """Take a broker URL apart, or raise `SettingsError` with a line that says what is wrong, without the URL."""
    return sentinel.parse_sentinels(url) if url.lower().startswith(f"{sentinel.SCHEME}:") else parse_one(url)


def open_transport(url: str, settings: Settings | None = None) -> Transport:
    """The transport for a broker URL, which connects when first used; `SettingsError` for a wrong URL.

    Without `settings`, those of this process: queues have the same arguments in every one.
    """
    address = parse_address(url)
    for schemes, transport, _, _ in TRANSPORTS:
        if address.scheme in schemes:
            return transport(address, settings or get_settings())
    raise _unknown(address)


def broker_for(settings: Settings) -> Broker:
    """The broker that `BROKER_URL` names, as data; `SettingsError` for a wrong URL."""
    address = parse_address(settings.broker)
    for schemes, _, broker, _ in TRANSPORTS:
        if address.scheme in schemes:
            return broker(address, settings)
    raise _unknown(address)


def inspection_of(settings: Settings) -> Inspection:
    """How the broker that `BROKER_URL` names is checked, and put right; `SettingsError` for a wrong URL."""
    address = parse_address(settings.broker)
    for schemes, _, _, inspection in TRANSPORTS:
        if address.scheme in schemes:
            return inspection(address, settings)
    raise _unknown(address)


def _unknown(address: Address) -> SettingsError:
    known = ", ".join(f"{scheme}://" for schemes, *_ in TRANSPORTS for scheme in schemes)
    return SettingsError(f"BROKER_URL: no transport for {address.scheme}://, there are {known}")
