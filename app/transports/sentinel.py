"""Redis Sentinel: several places that know where the master is, in one URL.

    sentinel://:password@host:26379;sentinel://host:26379/0?master_name=mymaster

User, password, database and `master_name` stand once, in any of the parts; they are those of the master.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from app.errors import SettingsError
from app.transports.address import Address, parse_one

SCHEME = "sentinel"
DEFAULT_PORT = 26379
QUESTION_SECONDS = 1.0


def parse_sentinels(url: str) -> Address:
    """Take such a URL apart, or raise `SettingsError`; its first Sentinel is the address' host."""
    nodes = [parse_one(part) for part in url.split(";")]
    if any(node.scheme != SCHEME for node in nodes):
        raise SettingsError("BROKER_URL: every part of a Sentinel URL begins with sentinel://")
    options = dict(pair for part in url.split(";") for pair in parse_qsl(urlsplit(part).query))
    if not options.get("master_name"):
        raise SettingsError("BROKER_URL: a sentinel:// URL ends with ?master_name=NAME")
    address = replace(
        nodes[0],
        url=url,
        user=next((node.user for node in nodes if node.user), None),
        password=next((node.password for node in nodes if node.password), None),
        path=next((node.path for node in nodes if node.path), ""),
        sentinels=tuple((node.host, node.port or DEFAULT_PORT) for node in nodes),
        master_name=options["master_name"],
    )
    return replace(address, celery_url=_celery_url(address))


def master_of(address: Address) -> tuple[str, int]:
    """Ask the Sentinels, one after the other; raises redis-py's `MasterNotFoundError` if none knows a living master."""
    # Any: redis-py leaves Sentinel untyped.
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]  # as above
        list(address.sentinels),
        sentinel_kwargs=sentinel_options(),
    )
    try:
        host, port = sentinels.discover_master(address.master_name)
    except MasterNotFoundError as error:
        raise master_not_found(str(address.master_name)) from error
    finally:
        for one in sentinels.sentinels:
            one.close()
    return str(host), int(port)


def sentinel_options() -> dict[str, Any]:
    """How one Sentinel is asked: once, since the next one is the second try; redis-py alone would wait for seconds."""
    return {
        "socket_timeout": QUESTION_SECONDS,
        "socket_connect_timeout": QUESTION_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }


def master_not_found(name: str) -> MasterNotFoundError:
    """In words that stay the same: redis-py's hold addresses of objects, and would be told as news each time."""
    return MasterNotFoundError(f"no Sentinel answers and names a living master {name!r}")


def _celery_url(address: Address) -> str:
    """Kombu reads user, password and database from the first part only, and asks all of them."""
    user, password = quote(address.user or "", safe=""), quote(address.password or "", safe="")
    login = f"{user}:{password}@" if address.password else ""
    return ";".join(f"{SCHEME}://{login}{host}:{port}/{address.path}" for host, port in address.sentinels)
