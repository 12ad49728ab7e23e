"""The TCP socket that HTTP is served on: bound before anything else starts, so that a taken port is one clear line."""

from __future__ import annotations

import errno
import socket

from app.errors import StartRefused

_BACKLOG = 2048


def listen(*, host: str, port: int) -> socket.socket:
    """A listening socket; port 0: any free one. Raises `StartRefused` when it cannot be had."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise StartRefused(f"API_HOST: {host} is not an address of this machine: {error.strerror}") from error
    # By its protocol asyncio knows a socket whose small writes must not wait for the client's acknowledgement: 40 ms
    # an answer otherwise, since head and body are two writes.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise StartRefused(_why(error, host=host, port=port)) from error
    return listener


def inherited(descriptor: int) -> socket.socket:
    """The listening socket that the supervisor passed on."""
    try:
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartRefused(f"file descriptor {descriptor} is no socket") from error


def address_of(listener: socket.socket) -> str:
    """`http://host:port`, for a client on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 — recognised, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _why(error: OSError, *, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: choose one with --port or API_PORT (0: any)"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights this user does not have: choose one with --port or API_PORT"
    return f"cannot listen on {host} port {port}: {error.strerror}"
