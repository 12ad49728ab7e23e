"""Redis and Valkey as data for Celery."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES

from app.errors import SettingsError
from app.settings import Settings
from app.transports.address import Address
from app.transports.base import PRIORITIES, QUEUES, Broker, QueueSpec
from app.transports.redis_format import SEPARATOR, WIRE_PRIORITIES, dead_letters_key
from app.transports.sentinel import sentinel_options
from app.transports.worker_delivery import delivery_config

KOMBU_TRANSPORTS = {
    "redis": "app.transports.lease.channel:LeaseTransport",
    "rediss": "app.transports.lease.channel:LeaseTransport",
    "sentinel": "app.transports.lease.channel:LeaseSentinelTransport",
}

SCHEMES = ("redis", "rediss", "sentinel")
DEFAULT_PORT = 6379
CONNECT_TIMEOUT_SECONDS = 4.0
SOCKET_TIMEOUT_SECONDS = 5.0
HEALTH_CHECK_SECONDS = 5


def fingerprint_of(address: Address) -> str:
    """`redis:host:port/db`, `redis:master@host:port,host:port/db` behind Sentinels; or the broker's name there."""
    if address.name:
        return f"redis:{address.name}/{database_of(address)}"
    if address.sentinels:
        known_to = ",".join(sorted(f"{host}:{port}" for host, port in address.sentinels))
        return f"redis:{address.master_name}@{known_to}/{database_of(address)}"
    return f"redis:{address.place}:{address.port or DEFAULT_PORT}/{database_of(address)}"


def use_leases() -> None:
    """From now on Celery reaches Redis through the lease transport, in this process and its children.

    By kombu's table of aliases: it refuses a `module:Class` URL, forgets `broker_transport` on failover, and Flower
    knows a broker by its usual scheme only.
    """
    TRANSPORT_ALIASES.update(KOMBU_TRANSPORTS)


def broker_for(address: Address, settings: Settings) -> Broker:
    """Celery's side of this broker as data; Celery then speaks to it with leases (`use_leases`)."""
    use_leases()
    queues = tuple(QueueSpec(name=name, arguments={}, dead_letters=dead_letters_key(name)) for name in QUEUES)
    options: dict[str, Any] = {
        "priority_steps": list(PRIORITIES),
        "sep": SEPARATOR,
        "queue_order_strategy": "round_robin",
        "max_deliveries": settings.max_deliveries,
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,  # above kombu's BRPOP wait of 1 s
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_SECONDS,
    }
    if address.sentinels:
        options |= {"master_name": address.master_name, "sentinel_kwargs": sentinel_options()}
    config = delivery_config(
        settings,
        url=address.celery_url,
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=0,
    )
    tls = {"broker_use_ssl": dict(address.tls)} if address.tls is not None else {}
    return Broker(
        transport="redis",
        url=address.celery_url,
        fingerprint=fingerprint_of(address),
        queues=queues,
        wire_priorities=WIRE_PRIORITIES,
        transport_options=options,
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        heartbeat_seconds=0,
        celery_config=config
        | {
            "broker_transport_options": options,
            "worker_consumer": "app.transports.lease.consumer:LeaseConsumer",
            "worker_enable_prefetch_count_reduction": False,  # what is still running counts anyway
        }
        | tls,
    )


def database_of(address: Address) -> int:
    """The number in the URL's path, 0 without one; `SettingsError` for anything else."""
    if not address.path:
        return 0
    if not address.path.isdecimal():
        raise SettingsError("BROKER_URL: the path of a redis:// URL is a database number, such as /0")
    return int(address.path)
