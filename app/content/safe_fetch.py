"""Fetch a page from the web without being led anywhere else: the guard against server-side request forgery."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from time import monotonic
from typing import NoReturn
from urllib.parse import urljoin

import httpx2

from app.content.addresses import is_public_text
from app.content.fetch_policy import FetchPolicy, Target, check_url, target_of
from app.content.pinned_transport import PinnedTransport
from app.errors import BrokenDocument, DocumentTooLarge, FetchFailed, FetchRefused, FetchUnavailable

__all__ = ["FetchPolicy", "FetchedPage", "check_url", "fetch"]

_ACCEPT = "text/html, application/xhtml+xml, application/pdf, text/markdown, text/plain;q=0.9, */*;q=0.1"
_TRY_AGAIN_LATER = frozenset((408, 421, 425, 429))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """An answer: `body` unpacked, `url` after redirects. `not_modified`: the given validators still hold, no body."""

    url: str
    body: bytes
    media_type: str | None
    charset: str | None
    etag: str | None
    last_modified: str | None
    not_modified: bool

    @property
    def content_type(self) -> str | None:
        """Media type and charset together, as `extract` takes them."""
        return f"{self.media_type}; charset={self.charset}" if self.media_type and self.charset else self.media_type


def fetch(url: str, *, policy: FetchPolicy, etag: str | None = None, last_modified: str | None = None) -> FetchedPage:
    """Fetch a page; with `etag` or `last_modified`, only if it changed since.

    Each redirect is checked like the first URL. Blocks for `policy.timeout_seconds` at most. Raises `FetchRefused`
    (the policy forbids it), `FetchUnavailable` (may work later), `FetchFailed` (the server says no),
    `DocumentTooLarge` and `BrokenDocument` (a damaged encoding).
    """
    ends_at = monotonic() + policy.timeout_seconds
    conditions = {"if-none-match": etag, "if-modified-since": last_modified}
    # A validator that is not ASCII cannot be sent back: then the page is fetched whole.
    headers = {name: value for name, value in conditions.items() if value is not None and value.isascii()}
    target = target_of(url, policy)
    for _ in range(policy.max_redirects + 1):
        answer = _visit(target, policy=policy, headers=headers, ends_at=ends_at)
        if isinstance(answer, FetchedPage):
            return answer
        target = target_of(_absolute(answer, base=target), policy)
    raise FetchRefused(f"more than {policy.max_redirects} redirects")


def _absolute(location: str, *, base: Target) -> str:
    try:
        return urljoin(str(base), location)
    except ValueError as error:
        raise FetchRefused("the redirect leads to no URL") from error


def _visit(target: Target, *, policy: FetchPolicy, headers: dict[str, str], ends_at: float) -> FetchedPage | str:
    """The page, or where it has moved to."""
    transport = PinnedTransport(
        addresses=_addresses(target, policy=policy, ends_at=ends_at), ends_at=ends_at, ssl_context=_ssl_context()
    )
    standing = {"user-agent": policy.user_agent, "accept": _ACCEPT}
    with (
        httpx2.Client(transport=transport, trust_env=False, follow_redirects=False, headers=standing) as client,
        client.stream("GET", str(target), headers=headers) as response,
    ):
        if response.status_code in {301, 302, 303, 307, 308} and response.headers.get("location"):
            return response.headers["location"]
        if response.status_code == 304 and headers:
            return _page(target, response, body=b"", not_modified=True)
        if not response.is_success:
            _refused_by_server(response.status_code)
        _refuse_unknown_encoding(response, asked_for=client.headers["accept-encoding"])
        return _page(target, response, body=_body(response, policy=policy, ends_at=ends_at), not_modified=False)


def _addresses(target: Target, *, policy: FetchPolicy, ends_at: float) -> tuple[str, ...]:
    """Every address of the host, once each; one that is not public condemns the name."""
    found = _resolve(target.host, target.port, ends_at=ends_at)
    if not policy.exempts(host=target.host, port=target.port):
        for address in found:
            if not is_public_text(address):
                raise FetchRefused(f"{target.host} leads to {address}, which is not a public address")
    return found


def _resolve(host: str, port: int, *, ends_at: float) -> tuple[str, ...]:
    """Asks in a thread of its own: the system's resolver knows no deadline."""
    answer: Future[tuple[str, ...]] = Future()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result(tuple(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except (OSError, UnicodeError) as error:
            answer.set_exception(error)

    Thread(target=ask, name="resolve", daemon=True).start()
    try:
        return answer.result(timeout=max(0.0, ends_at - monotonic()))
    except TimeoutError as error:
        raise FetchUnavailable(f"the name {host} was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise FetchUnavailable(f"the name {host} cannot be resolved: {error}") from error


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _refused_by_server(status: int) -> NoReturn:
    if status >= 500 or status in _TRY_AGAIN_LATER:
        raise FetchUnavailable(f"the server answered {status}")
    raise FetchFailed(f"the server answered {status}")


def _refuse_unknown_encoding(response: httpx2.Response, *, asked_for: str) -> None:
    known = {name.strip() for name in asked_for.split(",")} | {"identity", ""}
    for name in response.headers.get("content-encoding", "").lower().split(","):
        if name.strip() not in known:
            raise BrokenDocument(f"the server packed the page as {name.strip()[:50]}, which was not asked for")


def _body(response: httpx2.Response, *, policy: FetchPolicy, ends_at: float) -> bytes:
    """The body unpacked piece by piece (at most 1 MiB each), so that neither end can outgrow the limit."""
    too_large = DocumentTooLarge(f"the page has more than {policy.max_bytes} bytes")
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > policy.max_bytes:
        raise too_large
    body = bytearray()
    try:
        for piece in response.iter_bytes():
            body += piece
            if max(len(body), response.num_bytes_downloaded) > policy.max_bytes:
                raise too_large
            if monotonic() > ends_at:
                raise FetchUnavailable(f"the page was not complete after {policy.timeout_seconds:g} seconds")
    except httpx2.DecodingError as error:
        raise BrokenDocument(f"the page is damaged on its way: {error}") from error
    return bytes(body)


def _page(target: Target, response: httpx2.Response, *, body: bytes, not_modified: bool) -> FetchedPage:
    media_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    return FetchedPage(
        url=str(target),
        body=body,
        media_type=media_type or None,
        charset=response.charset_encoding,
        etag=response.headers.get("etag"),
        last_modified=response.headers.get("last-modified"),
        not_modified=not_modified,
    )
