"""ApiClient: the HTTP API as the command line uses it."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import stamina

from app.errors import ApiRefused, ApiUnavailable, TooLarge
from app.settings import get_settings

_PAGE = 200
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_BUSY = (429, 502, 503, 504)
_ANSWER = int | str | float | bool | None


class ApiClient:
    """A context manager over one pool of connections; may be used from several threads.

    Raises `ApiRefused` for what is no address.

    Every method raises `ApiUnavailable` when the API cannot be reached or is busy for longer than
    `patience_seconds` (0: at the first try), and `ApiRefused` with the reason it gave for anything else but success.
    """

    def __init__(self, address: str, *, patience_seconds: float = 60.0) -> None:
        self.address = address.rstrip("/")
        if not re.match(r"https?://[^/?#]", self.address, re.IGNORECASE):
            raise ApiRefused(f"{address!r} is not the address of an API: it begins with http:// or https://")
        self._patience_seconds = patience_seconds
        stamina.instrumentation.set_on_retry_hooks(())  # a command line shows the outcome, not each attempt
        self._client = httpx2.Client(base_url=self.address, timeout=_TIMEOUT, headers=_key())

    def reach(self) -> None:
        """Raises `ApiUnavailable` at once when nothing answers."""
        self._answer_once("GET", "/livez")

    def get(self, path: str, **parameters: _ANSWER) -> Any:
        """The JSON of a `GET`."""
        return self._answer("GET", path, params=_given(parameters))

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, parameters: Mapping[str, _ANSWER] | None = None
    ) -> Any:
        """The JSON of a `POST` of JSON; a repeat after a lost answer does not repeat its effect."""
        content = {} if body is None else {"json": dict(body)}
        return self._answer("POST", path, params=_given(parameters or {}), headers=_once(), **content)

    def delete(self, path: str, **parameters: _ANSWER) -> None:
        """A `DELETE`."""
        self._answer("DELETE", path, params=_given(parameters))

    def upload(self, file: Path, *, media_type: str | None) -> Any:
        """The JSON of `POST /ingest` with this file. Raises `OSError` or `TooLarge`."""
        part = (readable(file.name), _bytes_of(file), media_type or "application/octet-stream")
        return self._answer("POST", "/ingest", files={"file": part}, headers=_once())

    def post_lines(self, path: str, lines: Sequence[bytes], **parameters: _ANSWER) -> Any:
        """The JSON of a `POST` of JSON lines."""
        headers = {"Content-Type": "application/x-ndjson"}
        return self._answer("POST", path, params=_given(parameters), headers=headers, content=b"\n".join(lines))

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a `GET` as they come, each with its end. A stream that breaks off ends there."""
        rest = b""
        try:
            with self._client.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                    raise ApiRefused(_problem(answer))
                for chunk in answer.iter_bytes():
                    *whole, rest = (rest + chunk).split(b"\n")
                    yield from (line + b"\n" for line in whole)
        except httpx2.TransportError as error:
            raise ApiUnavailable(f"{self.address} does not answer any more: {error}") from error

    def resources(self, **parameters: _ANSWER) -> Iterator[dict[str, Any]]:
        """All resources that match, page after page."""
        cursor = None
        while True:
            page = self.get("/resources", limit=_PAGE, cursor=cursor, **parameters)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _answer(self, method: str, path: str, **arguments: Any) -> Any:
        if not self._patience_seconds:
            return self._answer_once(method, path, **arguments)
        for attempt in stamina.retry_context(
            on=_wait_before_retry, attempts=None, timeout=self._patience_seconds, wait_initial=0.2, wait_max=5.0
        ):
            with attempt:
                return self._answer_once(method, path, **arguments)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _answer_once(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx2.TransportError as error:
            raise ApiUnavailable(f"nothing answers at {self.address} ({error}): is `alexandria up` running?") from error
        except httpx2.InvalidURL as error:
            raise ApiRefused(f"{self.address} is not the address of an API: {error}") from error
        if answer.status_code in _BUSY:
            raise _Busy(_problem(answer), retry_after=answer.headers.get("retry-after", ""))
        if not answer.is_success:
            raise ApiRefused(_problem(answer))
        return answer.json() if answer.content else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def readable(file: Path | str) -> str:
    """The name of a file as text: bytes of it that are no UTF-8, which Linux allows, as U+FFFD."""
    return os.fsencode(file).decode("utf-8", "replace")


def _given(parameters: Mapping[str, _ANSWER]) -> dict[str, _ANSWER]:
    return {name: value for name, value in parameters.items() if value is not None}


def _bytes_of(file: Path) -> bytes:
    """Raises `TooLarge` without reading more than the API of these settings would take."""
    limit = get_settings().max_body_bytes
    with file.open("rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(f"the file is larger than {limit} bytes")
    return data


class _Busy(ApiUnavailable):
    def __init__(self, detail: str, *, retry_after: str) -> None:
        super().__init__(detail)
        self.retry_after_seconds = float(retry_after) if retry_after.isdigit() else None


def _wait_before_retry(error: Exception) -> bool | float:
    if isinstance(error, _Busy) and error.retry_after_seconds:
        return error.retry_after_seconds
    return isinstance(error, ApiUnavailable)


def _key() -> dict[str, str]:
    """The header that shows the key of the settings, if they have one."""
    key = get_settings().alexandria_api_key.get_secret_value().strip()
    return {"X-API-Key": key} if key else {}


def _once() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(16)}


def _problem(answer: httpx2.Response) -> str:
    """The sentence of a problem+json, or what there is."""
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        return f"HTTP {answer.status_code} from {answer.request.url}"
