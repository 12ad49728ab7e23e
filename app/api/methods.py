"""Methods: HEAD wherever GET is, and what `Allow` lists (RFC 9110, §9.3.2 and §10.2.1)."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ENDLESS = frozenset({"/events/stream"})
"""Paths whose answer to GET never ends: HEAD would wait for ever."""


class HeadLikeGet:
    """Answers HEAD as GET without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or scope["path"] in ENDLESS:
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        try:
            await self.app(scope, receive, send_without_body)
        finally:
            scope["method"] = "HEAD"  # as those outside of this know it


def allowed_methods(app: Starlette, scope: Scope) -> str:
    """The methods of all routes at the path of `scope`, as `Allow` has them."""
    possible = {method for method in METHODS if _is_served(app, scope, method)}
    if "GET" in possible and scope["path"] not in ENDLESS:
        possible.add("HEAD")
    return ", ".join(method for method in METHODS if method in possible)


def _is_served(app: Starlette, scope: Scope, method: str) -> bool:
    asked = {**scope, "method": method}
    return any(route.matches(asked)[0] is Match.FULL for route in app.routes)
