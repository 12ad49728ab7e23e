"""Lines: every role of a stack reaches each of its servers through a proxy of its own, which can be broken alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import psutil

from chaos.ports import free_port
from chaos.probe import GREETINGS, TIMEOUT_SECONDS, Answer, Protocol, Reaction, probe
from chaos.servers.toxiproxy import ToxiproxyServer
from chaos.toxiproxy import Proxy

Dependency = Literal["broker", "database", "cache"]
VARIABLES: dict[Dependency, str] = {"broker": "BROKER_URL", "database": "DATABASE_URL", "cache": "CACHE_URL"}
PROTOCOLS: dict[str, Protocol] = {"redis": "redis", "amqp": "amqp", "postgresql": "postgresql"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """From one role to one server."""

    role: str
    dependency: Dependency
    protocol: Protocol
    proxy: Proxy = field(repr=False)

    def __str__(self) -> str:
        return f"{self.role} to {self.dependency}"

    def connections(self) -> frozenset[int]:
        """The client's ports of the connections that stand now."""
        return frozenset(
            one.laddr.port
            for one in psutil.net_connections("tcp4")
            if one.laddr and one.raddr and one.raddr.port == self.proxy.port and one.status == psutil.CONN_ESTABLISHED
        )

    def probe(self, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Answer:
        """What a stranger meets on it."""
        answer = probe(self.proxy.port, self.protocol, timeout_seconds=timeout_seconds)
        if answer.reaction is not Reaction.REFUSED:
            self.proxy.probed += len(GREETINGS[self.protocol])
        return answer


class Lines:
    """All lines of one stack. Nothing of the checker uses them."""

    def __init__(self, lines: Sequence[Line], urls: Mapping[str, Mapping[str, str]]) -> None:
        self._lines = tuple(lines)
        self._urls = urls

    def select(self, dependency: Dependency, *roles: str) -> tuple[Line, ...]:
        """The lines to one server: of these roles, or of all."""
        return tuple(one for one in self._lines if one.dependency == dependency and (not roles or one.role in roles))

    def environment_of(self, role: str) -> dict[str, str]:
        """The addresses that this role is given: those of its lines."""
        return dict(self._urls[role])


@contextmanager
def laid(roles: Sequence[str], servers: Mapping[Dependency, str], *, seed: int) -> Iterator[Lines]:
    """Lines from each role to the server of each URL, through a Toxiproxy of their own. Each is a `name://host:port/…`."""
    with ToxiproxyServer(seed=seed) as server:
        api = server.api()
        lines: list[Line] = []
        urls: dict[str, dict[str, str]] = {}
        for role in roles:
            urls[role] = {}
            for dependency, url in servers.items():
                port = free_port()
                proxy = api.proxy(f"{role}-{dependency}", listen_port=port, target=_target(url))
                protocol = PROTOCOLS[urlsplit(url).scheme]
                lines.append(Line(role=role, dependency=dependency, protocol=protocol, proxy=proxy))
                urls[role][VARIABLES[dependency]] = with_port(url, port)
        yield Lines(lines, urls)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"[{parts.hostname}]:{parts.port}" if ":" in (parts.hostname or "") else f"{parts.hostname}:{parts.port}"


def with_port(url: str, port: int) -> str:
    """The same user, password and path at another port of the loopback."""
    parts = urlsplit(url)
    credentials, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}" if credentials else f"127.0.0.1:{port}"))
