"""What every request passes on its way in and out: limits, measurements, headers, and a last resort."""

from __future__ import annotations

import time

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import holder_of
from app.api.metrics import HttpMetrics
from app.api.problems import from_error, unexpected
from app.errors import TooLarge

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
# A client that is still sending reads no answer: this much of a refused body is read and dropped first.
DRAIN_FACTOR = 2
DRAIN_SECONDS = 10.0

access = structlog.get_logger("app.api.access")
log = structlog.get_logger(__name__)


class _BodyTooLarge(Exception):
    """The body went over the limit while it was read."""


class BodyLimit:
    """Refuses bodies over `max_bytes`, announced or not, whatever the endpoint does with them."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = _content_length(scope)
        if announced is not None and announced > self.max_bytes:
            await self._refuse(scope, receive, send, unread=True)
            return
        received, too_large, started, unread = 0, False, False, True

        async def receive_within_limit() -> Message:
            nonlocal received, too_large, unread
            message = await receive()
            unread = message.get("more_body", False)
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.max_bytes:
                    too_large = True
                    raise _BodyTooLarge
            return message

        async def send_unless_too_large(message: Message) -> None:
            nonlocal started
            if too_large and not started:  # the app may have made a 400 of the error above
                return
            started = True
            await send(message)

        try:
            await self.app(scope, receive_within_limit, send_unless_too_large)
        except _BodyTooLarge:
            log.debug("body over the limit", received_bytes=received)
        if too_large and not started:
            await self._refuse(scope, receive, send, unread=unread)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, unread: bool) -> None:
        if unread:
            await drained(receive, max_bytes=self.max_bytes)
        error = TooLarge(f"the body is larger than {self.max_bytes} bytes")
        await from_error(scope, error, headers={"Connection": "close"})(scope, receive, send)


async def drained(receive: Receive, *, max_bytes: int) -> None:
    """Read and drop what a refused client is still sending, within reason."""
    dropped, more = 0, True
    with anyio.move_on_after(DRAIN_SECONDS):
        while more and dropped < max_bytes * DRAIN_FACTOR:
            message = await receive()
            dropped += len(message.get("body", b""))
            more = message.get("more_body", False)


class Observation:
    """Times each request, counts it and writes its line in the log; adds the security headers."""

    def __init__(self, app: ASGIApp, *, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        finally:
            self._record(scope, status=status, seconds=time.perf_counter() - began)

    def _record(self, scope: Scope, *, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "unmatched"
        self.metrics.record(method=scope["method"], route=route, status=status, seconds=seconds)
        client, holder = scope.get("client"), holder_of(scope)
        access.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 1),
            client=client[0] if client else None,
            key=holder.name if holder else None,
        )


class UnexpectedErrors:
    """A bug becomes a 500 with a correlation id, and its traceback goes to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if started:
                raise
            await unexpected(scope)(scope, receive, send)


def _content_length(scope: Scope) -> int | None:
    try:
        return int(Headers(scope=scope)["content-length"])
    except (KeyError, ValueError):
        return None
