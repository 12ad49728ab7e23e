"""An httpx2 transport that connects to addresses chosen beforehand and lets no read outlast the whole fetch."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

import httpcore2
import httpx2

from app.errors import FetchUnavailable

_READ_SECONDS = 15.0  # of silence; the deadline of the fetch may be nearer
_SOCKET_OPTION = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class PinnedTransport(httpx2.BaseTransport):
    """One fetch's connections: `addresses` are tried in order, and TLS and `Host` keep the name of the URL.

    Raises `FetchUnavailable` for everything that goes wrong on the wire.
    """

    def __init__(self, *, addresses: tuple[str, ...], ends_at: float, ssl_context: ssl.SSLContext) -> None:
        """`ends_at` is on the clock of `time.monotonic`."""
        backend = _PinnedBackend(addresses=addresses, ends_at=ends_at)
        self._pool = httpcore2.ConnectionPool(ssl_context=ssl_context, network_backend=backend, max_connections=1)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request without a body; the answer streams."""
        with _wire_errors():
            answer = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Close the connection, read to its end or not."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _wire_errors():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _PinnedBackend(httpcore2.NetworkBackend):
    def __init__(self, *, addresses: tuple[str, ...], ends_at: float) -> None:
        self._addresses = addresses
        self._ends_at = ends_at
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - resolved already: asking again could answer differently
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[_SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for index, address in enumerate(self._addresses):
            share = _left(self._ends_at) / (len(self._addresses) - index)
            try:
                stream = self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, ends_at=self._ends_at)
        raise failure


class _TimedStream(httpcore2.NetworkStream):
    """Every wait is cut at the end of the fetch, so a server that drips a byte at a time gains nothing."""

    def __init__(self, stream: httpcore2.NetworkStream, *, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, min(_READ_SECONDS, _left(self._ends_at)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._ends_at))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._ends_at))
        return _TimedStream(stream, ends_at=self._ends_at)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(ends_at: float) -> float:
    left = ends_at - monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for the whole fetch is used up")
    return left


@contextmanager
def _wire_errors() -> Iterator[None]:
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise FetchUnavailable(f"the server was too slow: {error or type(error).__name__}") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise FetchUnavailable(f"the connection failed: {error or type(error).__name__}") from error
