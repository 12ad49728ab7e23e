"""API keys at the door: who shows none that is in force gets no further than the health checks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import KEY_COOKIE, SIGN_IN, hold
from app.api.middleware import drained
from app.api.problems import from_error
from app.api.site import is_loopback
from app.database import Database
from app.errors import AlexandriaError, KeyNeeded, TransientError
from app.services import api_keys
from app.services.api_keys import KeyHolder
from app.settings import Settings

OPEN_PATHS = frozenset({"/livez", "/readyz", SIGN_IN})
OPEN_PREFIX = "/static/"
CHECKED_AGAIN_SECONDS = 1.0
"""A key is looked at again before a part of an answer that is sent so long after the last look."""
_HOW = "send a key as `X-API-Key` or `Authorization: Bearer`; `alexandria api-key create` makes one"


def key_required(settings: Settings) -> Callable[[Scope], bool]:
    """Whether a request needs a key: by REQUIRE_API_KEY, and where that is `auto`, by where the server listens.

    An API that only this machine can reach needs none. A server that was started some other way than by
    `alexandria api` may listen elsewhere than API_HOST says: then it is the address that the client came to.
    """
    if settings.require_api_key != "auto":
        answer = settings.require_api_key == "true"
        return lambda _scope: answer
    if not is_loopback(settings.api_host):
        return lambda _scope: True
    return lambda scope: not _came_to_loopback(scope)


class KeyRequired:
    """Recognises the key of a request before anything of it is read; what it may do, the operations say."""

    def __init__(
        self, app: ASGIApp, *, database: Database, required: Callable[[Scope], bool], drain_bytes: int
    ) -> None:
        self.app = app
        self._database = database
        self._required = required
        self._drain_bytes = drain_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or _is_open(scope["path"]) or not self._required(scope):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        shown = _shown(headers)
        try:
            holder = await self._recognise(shown)
        except AlexandriaError as error:
            await drained(receive, max_bytes=self._drain_bytes)
            await _refusal(scope, headers, error)(scope, receive, send)
            return
        hold(scope, holder)
        await self._serve(scope, receive, send, recognise=partial(self._recognise, shown))
        with suppress(TransientError):
            await run_in_threadpool(api_keys.note_use, self._database, holder)

    async def _recognise(self, shown: str | None) -> KeyHolder:
        if shown is None:
            raise KeyNeeded(_HOW)
        return await run_in_threadpool(api_keys.recognise, self._database, shown)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, recognise: Callable[[], object]) -> None:
        """Answers that go on and on end with their key."""
        checked, ended = time.monotonic(), False

        async def send_while_in_force(message: Message) -> None:
            nonlocal checked, ended
            if message["type"] == "http.response.body" and time.monotonic() - checked > CHECKED_AGAIN_SECONDS:
                try:
                    await recognise()  # type: ignore[misc]  # a partial of a coroutine function
                except KeyNeeded as error:
                    ended = True
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    raise OSError("the key was revoked") from error
                except TransientError:
                    pass  # nobody can revoke a key while the database is away
                checked = time.monotonic()
            await send(message)

        try:
            await self.app(scope, receive, send_while_in_force)
        except (ClientDisconnect, OSError):
            if not ended:
                raise


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def _came_to_loopback(scope: Scope) -> bool:
    host, port = scope.get("server") or ("", 0)
    return port is None or is_loopback(host)  # no port: a socket in the file system


def _shown(headers: Headers) -> str | None:
    """The key of a program, or that of a browser's reader."""
    if "x-api-key" in headers:
        return headers["x-api-key"].strip()
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    with suppress(CookieError):
        morsel = SimpleCookie(headers.get("cookie", "")).get(KEY_COOKIE)
        return morsel.value if morsel else None
    return None


def _refusal(scope: Scope, headers: Headers, error: AlexandriaError) -> Response:
    """A reader of the console is led to the page where a key is asked for; programs get the problem."""
    if not isinstance(error, KeyNeeded):
        return from_error(scope, error)
    if headers.get("hx-request") == "true":
        return from_error(scope, error, headers={"HX-Redirect": SIGN_IN})
    if scope["method"] in {"GET", "HEAD"} and headers.get("accept", "").startswith("text/html"):
        asked = scope["path"] + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else "")
        return RedirectResponse(f"{SIGN_IN}?next={quote(asked, safe='')}", 303, headers={"Cache-Control": "no-store"})
    return from_error(scope, error, headers={"WWW-Authenticate": 'Bearer realm="alexandria"'})
