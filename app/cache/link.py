"""Link: one connection to the cache server whose answers come by a given moment or not at all.

The client library's socket timeout restarts with every packet, so a server that trickles can hold
a caller for many times that long. A link measures the whole exchange against one moment.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import monotonic
from typing import TypeAlias, cast

import hiredis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

Command: TypeAlias = tuple[str | bytes | int, ...]

LINK_ERRORS = (OSError, RedisError, hiredis.HiredisError)
DIAL_SECONDS = 2.0
"""A connection is opened in the background, so a slow name server or handshake costs no caller this long."""
RECEIVE_BYTES = 65536
NOTHING_YET = object()


class Link(AbstractConnection):
    """What the three kinds of connection share."""

    def exchange(self, commands: Sequence[Command], *, until: float) -> list[object]:
        """Send all commands, read all replies before `monotonic()` passes `until`.

        A reply that is an error is returned in its place. Raises one of `LINK_ERRORS` otherwise;
        the link is then out of step and must be closed.
        """
        sock = cast("socket.socket | None", self._sock)
        if sock is None:
            raise ConnectionError("closed")
        packed: list[bytes] = self.pack_commands(commands)  # type: ignore[no-untyped-call]  # the library's
        sock.settimeout(_seconds_left(until))
        sock.sendall(b"".join(packed))
        return _replies(sock, count=len(commands), until=until)

    def is_quiet(self) -> bool:
        """Whether the server neither closed the link nor sent what nobody asked for."""
        try:
            return not self.can_read(timeout=0)
        except LINK_ERRORS:
            return False

    def hang_up(self) -> None:
        """Close the socket; a forked child does so without a word to the server."""
        self.disconnect()  # type: ignore[no-untyped-call]  # the library's


class TcpLink(Link, Connection):
    """redis://"""


class TlsLink(Link, SSLConnection):
    """rediss://"""


class UnixLink(Link, UnixDomainSocketConnection):
    """unix://"""


_KINDS: dict[type | None, type[TcpLink | TlsLink | UnixLink]] = {
    None: TcpLink,
    SSLConnection: TlsLink,
    UnixDomainSocketConnection: UnixLink,
}


def open_link(url: str, *, answers_within_seconds: float) -> Link:
    """Connect, log in and see that the server answers commands, and as soon as a caller would want it.

    Raises one of `LINK_ERRORS`, or `ValueError`.
    """
    options = parse_url(url)  # type: ignore[no-untyped-call]  # the library's
    kind = _KINDS[options.pop("connection_class", None)]
    timeouts = {"socket_timeout": DIAL_SECONDS, "socket_connect_timeout": DIAL_SECONDS}
    link = kind(**{**options, **timeouts}, protocol=2, retry=Retry(NoBackoff(), 0))
    try:
        link.connect()  # type: ignore[no-untyped-call]  # the library's
        if min(_ping(link), _ping(link)) > answers_within_seconds:  # the first may have waited for this machine
            raise TimeoutError("it answers later than anyone waits")
    except BaseException:
        link.hang_up()
        raise
    return link


def _ping(link: Link) -> float:
    """Seconds to the answer."""
    began = monotonic()
    [reply] = link.exchange([("PING",)], until=began + DIAL_SECONDS)
    if isinstance(reply, Exception):
        raise reply
    return monotonic() - began


def _replies(sock: socket.socket, *, count: int, until: float) -> list[object]:
    reader = hiredis.Reader(replyError=ResponseError, notEnoughData=NOTHING_YET)
    replies: list[object] = []
    while len(replies) < count:
        reply = reader.gets()
        if reply is not NOTHING_YET:
            replies.append(reply)
            continue
        sock.settimeout(_seconds_left(until))
        received = sock.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed the connection")
        reader.feed(received)
    return replies


def _seconds_left(until: float) -> float:
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError("no answer by the deadline")
    return left
