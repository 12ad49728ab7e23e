"""RabbitMQ as data for Celery."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from app.settings import Settings
from app.transports.address import Address
from app.transports.base import PRIORITIES, Broker
from app.transports.rabbitmq_topology import queue_specs
from app.transports.worker_delivery import delivery_config

SCHEMES = ("amqp", "amqps")
WIRE_PRIORITIES = tuple(PRIORITIES)
HEARTBEAT_SECONDS = 6
"""RabbitMQ gives a silent worker up after three of them: frozen, its work runs elsewhere after 18 s (measured)."""
READ_TIMEOUT_SECONDS = 30
"""Above the heartbeat, so that an idle worker never meets it and a silent broker still ends a request."""
WRITE_TIMEOUT_SECONDS = 10
SOCKET_SETTINGS: Any = {socket.TCP_USER_TIMEOUT: WRITE_TIMEOUT_SECONDS * 1000}  # Any: the stub wants names as keys
"""py-amqp's default of 1 s drops the connection at the first hiccup of the network."""
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
CONNECT_TIMEOUT_SECONDS = 4.0


def fingerprint_of(address: Address) -> str:
    """`rabbitmq:host:port/vhost`, or the broker's name in the place of host and port."""
    place = address.name or f"{address.place}:{address.port or DEFAULT_PORTS[address.scheme]}"
    return f"rabbitmq:{place}/{address.path or '/'}"


def broker_for(address: Address, settings: Settings) -> Broker:
    """Celery's side of this broker as data."""
    queues = queue_specs(queue_type=settings.rabbitmq_queue_type)
    options: dict[str, Any] = {
        "read_timeout": READ_TIMEOUT_SECONDS,
        "write_timeout": WRITE_TIMEOUT_SECONDS,
        "socket_settings": SOCKET_SETTINGS,
    }
    config = delivery_config(
        settings,
        url=address.celery_url,
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )
    tls = {"broker_use_ssl": tls_options(address)} if address.tls is not None else {}
    return Broker(
        transport="rabbitmq",
        url=address.celery_url,
        fingerprint=fingerprint_of(address),
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        transport_options=options,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        celery_config=config
        | {
            "broker_transport_options": options,
            "worker_consumer": "app.transports.rabbitmq_consumer:RabbitConsumer",
            # The tasks that run are delivered again and fill the window as before.
            "worker_enable_prefetch_count_reduction": False,
        }
        | tls,
    )


def tls_options(address: Address) -> dict[str, Any]:
    """The URL's `ssl_…` options in py-amqp's words."""
    checks = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
    options: dict[str, Any] = {name.removeprefix("ssl_"): value for name, value in (address.tls or {}).items()}
    name = {} if options["cert_reqs"] == "none" else {"server_hostname": address.host}  # checked if given
    return options | name | {"cert_reqs": checks[options["cert_reqs"]]}
