"""A line asked by a stranger: it greets the server behind it as a client would, and tells what came of that."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

TIMEOUT_SECONDS = 1.5

Protocol = Literal["redis", "amqp", "postgresql"]
# What makes a server of each kind say something before it knows who is there.
GREETINGS: dict[Protocol, bytes] = {
    "redis": b"PING\r\n",
    "amqp": b"AMQP\x00\x00\x09\x01",
    "postgresql": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # SSLRequest
}


class Reaction(StrEnum):
    """`answered`: data came. `silent`: nothing in time. `refused`: no connection. `closed`: by FIN, `reset`: by RST."""

    ANSWERED = "answered"
    SILENT = "silent"
    REFUSED = "refused"
    CLOSED = "closed"
    RESET = "reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How the line reacted, and after how long."""

    reaction: Reaction
    seconds: float


def probe(port: int, protocol: Protocol, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Answer:
    """Greet whoever listens on the port of the loopback. Never raises, and ends soon after the time-out."""
    begun = time.monotonic()
    reaction = _react(port, GREETINGS[protocol], timeout_seconds)
    return Answer(reaction=reaction, seconds=time.monotonic() - begun)


def _react(port: int, greeting: bytes, timeout_seconds: float) -> Reaction:
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
    except OSError:
        return Reaction.REFUSED
    with connection:
        try:
            connection.sendall(greeting)
            return Reaction.ANSWERED if connection.recv(64) else Reaction.CLOSED
        except TimeoutError:
            return Reaction.SILENT
        except OSError:
            return Reaction.RESET
