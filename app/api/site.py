"""Site: requests that a page of another web site makes the browser of a reader send are refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import from_error
from app.errors import PermanentError
from app.settings import Settings

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteRequest(PermanentError):
    """Another site made the browser of a reader send this."""

    slug = "cross-site-request"
    status = 403
    title = "Not from this site"


class UnknownHost(PermanentError):
    """A name that leads to this machine, but is none of its own: another site's, by DNS rebinding."""

    slug = "unknown-host"
    status = 421
    title = "Not the name of this site"


class OwnSite:
    """Refuses, before anything is read: what changes something and comes from another site; and, where `hosts` are
    given, what is addressed to another name. Programs say nothing of where they come from, and are let through.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await from_error(scope, refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> PermanentError | None:
        headers = Headers(scope=scope)
        host = headers.get("host")
        if self.hosts is not None and host is not None and _name_of(host) not in self.hosts:
            return UnknownHost(f"{host[:100]} is not a name of this API; API_ALLOWED_HOSTS may add it")
        if scope["method"] not in SAFE_METHODS and not _is_from_here(headers):
            return CrossSiteRequest("this was sent by another web site; nothing was done")
        return None


def _is_from_here(headers: Headers) -> bool:
    """By what a browser says and no page can change.

    Over plain HTTP to another machine browsers send no `Sec-Fetch-Site`, but `Origin`: `null` from a sandboxed frame
    or a file. `same-origin` is enough: a proxy may have put another name into `Host`.
    """
    site = headers.get("sec-fetch-site", "none")
    if site != "none":
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower() != ""


def hosts_of(settings: Settings) -> frozenset[str] | None:
    """The names that an API on this machine alone goes by; None: it serves others, who may call it anything."""
    if not is_loopback(settings.api_host):
        return None
    return LOOPBACK_NAMES | {name.lower() for name in (settings.api_host, *settings.api_allowed_hosts)}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name_of(host: str) -> str:
    """The name in a `Host` header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
