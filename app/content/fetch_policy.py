"""Which URLs may be fetched, as far as the URL alone can tell, and the one spelling each of them is known by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urlsplit

import idna

from app.content.addresses import is_public
from app.errors import FetchRefused

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL_CHARS = 4096
_MAX_HOST_CHARS = 253
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"\d+|0x[0-9a-f]*")
_PRIVATE_SUFFIXES = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa", ".onion")
_UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")
_PERCENT = re.compile(r"%([0-9a-fA-F]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """What may be fetched and what one fetch may cost.

    `allowed_private_hosts`: names, addresses or `host:port` that pass without the checks of address and port.
    `max_bytes` counts the body as sent and as unpacked; `timeout_seconds` is the whole fetch, redirects included.
    """

    allowed_private_hosts: tuple[str, ...]
    allowed_ports: tuple[int, ...]
    max_bytes: int
    max_redirects: int
    timeout_seconds: float
    user_agent: str

    def exempts(self, *, host: str, port: int) -> bool:
        """Whether the operator named this host, or this host and port."""
        named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return any(entry.lower() in {host, f"[{host}]", named} for entry in self.allowed_private_hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL taken apart; `host` is in lower case, in ASCII, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int
    path_and_query: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path_and_query}"


def check_url(url: str, policy: FetchPolicy) -> str:
    """The normalised URL (RFC 3986 §6.2.2, no fragment), by which the same page is known again.

    Asks no resolver: a name that leads to a private address is found by the fetch. Raises `FetchRefused`.
    """
    return str(target_of(url, policy))


def target_of(url: str, policy: FetchPolicy) -> Target:
    """As `check_url`, taken apart."""
    url = url.strip(" \t\r\n\f")
    if len(url) > _MAX_URL_CHARS:
        raise FetchRefused(f"a URL may have {_MAX_URL_CHARS} characters, this one has {len(url)}")
    if _FORBIDDEN.search(url):
        raise FetchRefused("the URL holds a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchRefused(f"not a URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise FetchRefused(f"only http and https are fetched, not {parts.scheme[:20] or 'a URL without a scheme'}")
    if "@" in parts.netloc:
        raise FetchRefused("a URL with a user name or password is not fetched")
    host = _host(parts.netloc, parts.hostname or "")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    _refuse_private(host, port, policy=policy)
    query = f"?{_requoted(parts.query)}" if parts.query else ""
    return Target(scheme=parts.scheme, host=host, port=port, path_and_query=_path(parts.path) + query)


def _host(netloc: str, name: str) -> str:
    if "%" in name:
        raise FetchRefused(f"not a host name: {name[:100]}")
    if netloc.startswith("["):
        try:
            return str(IPv6Address(name))
        except ValueError as error:
            raise FetchRefused(f"not an IPv6 address: {name[:100]}") from error
    host = name.lower() if name.isascii() else _in_ascii(name)
    if not host or len(host) > _MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise FetchRefused(f"not a host name: {name[:100] or 'it is empty'}")
    if _NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1]):
        return _plain_ipv4(host)
    return host


def _in_ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise FetchRefused(f"not a host name: {name[:100]}") from error


def _plain_ipv4(host: str) -> str:
    """A host that ends in a number is an IPv4 address (WHATWG URL), and only four decimal parts spell one here."""
    try:
        return str(IPv4Address(host))
    except ValueError as error:
        raise FetchRefused(f"{host[:100]} is an odd spelling of an IPv4 address") from error


def _refuse_private(host: str, port: int, *, policy: FetchPolicy) -> None:
    if policy.exempts(host=host, port=port):
        return
    if port not in policy.allowed_ports:
        allowed = ", ".join(str(allowed) for allowed in policy.allowed_ports)
        raise FetchRefused(f"port {port} is not fetched from; {allowed} are")
    if ":" in host or _NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1]):
        address = IPv6Address(host) if ":" in host else IPv4Address(host)
        if not is_public(address):
            raise FetchRefused(f"{host} is not a public address")
    elif "." not in host or f".{host}".endswith(_PRIVATE_SUFFIXES):
        raise FetchRefused(f"{host} is a name of a private network")


def _path(path: str) -> str:
    """Dot segments resolved (RFC 3986 §5.2.4), also when a dot is written `%2e`."""
    segments: list[str] = []
    parts = _requoted(path).split("/")[1:]
    for index, segment in enumerate(parts):
        is_last = index == len(parts) - 1
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
            continue
        if is_last:
            segments.append("")
    return "/" + "/".join(segments)


def _requoted(text: str) -> str:
    """Percent-encoding in capitals, of exactly the characters that need it."""
    text = _UNRESERVED.sub(lambda match: chr(int(match[1], 16)), text)
    text = _PERCENT.sub(lambda match: match[0].upper(), _STRAY_PERCENT.sub("%25", text))
    return quote(text, safe="%/?:@!$&'()*+,;=-._~[]|")
