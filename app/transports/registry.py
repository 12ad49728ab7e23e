"""Which transport serves which URL scheme. A third broker is one file and one line here."""

from __future__ import annotations

from app.errors import SettingsError
from app.settings import Settings
from app.transports import rabbitmq_broker, redis_broker
from app.transports.address import Address, parse_address
from app.transports.base import Broker, Transport
from app.transports.rabbitmq import RabbitTransport
from app.transports.redis import RedisTransport

TRANSPORTS = (
    (redis_broker.SCHEMES, RedisTransport, redis_broker.broker_for),
    (rabbitmq_broker.SCHEMES, RabbitTransport, rabbitmq_broker.broker_for),
)


def open_transport(url: str) -> Transport:
    """The transport for a broker URL, which connects when first used; `SettingsError` for a wrong URL."""
    address = parse_address(url)
    for schemes, transport, _ in TRANSPORTS:
        if address.scheme in schemes:
            return transport(address)
    raise _unknown(address)


def broker_for(settings: Settings) -> Broker:
    """The broker that `BROKER_URL` names, as data; `SettingsError` for a wrong URL."""
    address = parse_address(settings.broker)
    for schemes, _, broker in TRANSPORTS:
        if address.scheme in schemes:
            return broker(address, settings)
    raise _unknown(address)


def _unknown(address: Address) -> SettingsError:
    known = ", ".join(f"{scheme}://" for schemes, _, _ in TRANSPORTS for scheme in schemes)
    return SettingsError(f"BROKER_URL: no transport for {address.scheme}://, there are {known}")
