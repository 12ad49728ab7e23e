"""The address of an operator's broker: read once, resolved once, and from then on the same place for everybody.

BrokerRefused   it is not touched: the address, why, and what would help
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit

from chaos.processes import HarnessError

TIMEOUT_SECONDS = 5.0
KINDS = {"redis": "redis", "amqp": "rabbitmq"}
TOLD_TWICE = 2
LONGEST_NUMBER = 5


class BrokerRefused(HarnessError):
    """A broker that must not, or cannot, be used; nothing was sent to it but questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAddress:
    """`place`: as it was given, without user and password. `url`: with them, and with a number for the host's name.

    The number is the one that was looked at. A name could stand for something else the next time it is resolved, and
    what Python takes for a number (`127.1`) is a name to other programs.
    """

    url: str = field(repr=False)
    place: str
    kind: str
    is_loopback: bool


def resolve(url: str, *, times_told: int) -> GivenAddress:
    """Where it is, if the suite may ask there, or `BrokerRefused`.

    On the loopback, unless `times_told` twice that it may be elsewhere; where something accepts connections.
    """
    parts = _parts(url)
    host, port = parts.hostname or "", parts.port or 0
    path = _database(parts) if parts.scheme == "redis" else _virtual_host(parts)
    place = f"{parts.scheme}://{_authority(host, port)}{path}"
    addresses = _addresses(host, port)
    is_loopback = bool(addresses) and all(ipaddress.ip_address(one).is_loopback for one in addresses)
    if not is_loopback and times_told < TOLD_TWICE:
        raise BrokerRefused(
            f"{place} is not on this machine, and what uses it would be cut off again and again;"
            " if that is meant, say --beyond-loopback twice"
        )
    credentials, at, _ = parts.netloc.rpartition("@")
    number = _answering(place, addresses, port)
    return GivenAddress(
        url=f"{parts.scheme}://{credentials}{at}{_authority(number, port)}{path}",
        place=place,
        kind=KINDS[parts.scheme],
        is_loopback=is_loopback,
    )


def _parts(url: str) -> SplitResult:
    """Read without doubt: whatever two programs could read in two ways is refused, and no password is shown."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise BrokerRefused("--broker-url: an address has only printable ASCII characters; encode others with %")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BrokerRefused(f"--broker-url: {error}") from None
    host, shown = _host(parts), _shown(parts)
    if parts.scheme not in KINDS:
        raise BrokerRefused(f"{shown}: the lines of the suite carry {' and '.join(f'{one}://' for one in KINDS)}")
    if ";" in url:
        raise BrokerRefused(f"{shown}: one address, not a list with ;")
    if "?" in url or "#" in url:
        raise BrokerRefused(f"{shown}: an address without ?…: options would not be the same for all who use it")
    if "%" in host:
        raise BrokerRefused(f"{shown}: a host without %: not everybody decodes it")
    try:
        complete = bool(parts.hostname and parts.port)
    except ValueError:
        complete = False
    if not complete:
        raise BrokerRefused(f"{shown}: a host and a port are needed")
    return parts


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _shown(parts: SplitResult) -> str:
    """Without user and password."""
    return f"{parts.scheme}://{_host(parts)}" if parts.netloc else "--broker-url"


def _database(parts: SplitResult) -> str:
    number = parts.path.removeprefix("/") or "0"
    if not number.isdecimal() or len(number) > LONGEST_NUMBER:
        raise BrokerRefused(f"{_shown(parts)}{parts.path}: after the port comes the number of a database")
    return f"/{int(number)}"


def _virtual_host(parts: SplitResult) -> str:
    """Encoded, so that all read it alike; none, `/` and `//` are the one called `/`."""
    name = parts.path.removeprefix("/") or "/"
    if "/" in name and name != "/":
        raise BrokerRefused(f"{_shown(parts)}{parts.path}: write a / in a virtual host as %2F")
    return f"/{quote(unquote(name), safe='')}"


def _addresses(host: str, port: int) -> list[str]:
    """All that the name stands for now; none when nobody knows it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # an over-long or empty label of a name
        return []
    return [one for one in dict.fromkeys(str(entry[4][0]) for entry in found) if "%" not in one]


def _answering(place: str, addresses: list[str], port: int) -> str:
    """The first that accepts connections: a server often listens on one of the two that `localhost` stands for."""
    why = "nobody knows the name"
    for address in addresses:
        try:
            socket.create_connection((address, port), timeout=TIMEOUT_SECONDS).close()
        except OSError as error:
            why = str(error)
        else:
            return address
    raise BrokerRefused(f"{place} cannot be used: {why}")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
