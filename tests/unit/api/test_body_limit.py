from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware import BodyLimit


async def read_it(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def swallow_errors(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await Request(scope, receive).body()
    except Exception:  # noqa: BLE001 — as web frameworks do
        await PlainTextResponse("bad body", status_code=400)(scope, receive, send)


async def ignore_it(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("never read")(scope, receive, send)


def ask(app: Any, chunks: Sequence[bytes], *, announced: int | None = None) -> tuple[int, int]:
    """The status, and how many chunks the client could send before it was answered."""
    waiting, sent = list(chunks), []
    headers = [(b"content-length", str(announced).encode())] if announced is not None else []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}

    async def receive() -> Message:
        if not waiting:
            await anyio.sleep_forever()  # a server says no more until the answer is out
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        with anyio.fail_after(5):
            await BodyLimit(app, max_bytes=10)(scope, receive, send)

    anyio.run(run)
    statuses = [message["status"] for message in sent if message["type"] == "http.response.start"]
    assert len(statuses) == 1
    return statuses[0], len(chunks) - len(waiting)


@pytest.mark.parametrize("chunks", [[b""], [b"x" * 10], [b"x"] * 10, [b"", b"x" * 9, b"x"]])
def test_a_body_within_the_limit_passes(chunks: list[bytes]) -> None:
    assert ask(read_it, chunks) == (200, len(chunks))


@pytest.mark.parametrize("app", [read_it, swallow_errors])
@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x"] * 11, [b"x" * 9, b"xx", b"x"]])
def test_a_body_over_the_limit_is_refused_whatever_the_app_makes_of_it(app: Any, chunks: list[bytes]) -> None:
    assert ask(app, chunks)[0] == 413


@pytest.mark.parametrize("app", [read_it, ignore_it])
def test_an_announced_body_over_the_limit_never_reaches_the_app(app: Any) -> None:
    assert ask(app, [b"x" * 11], announced=11)[0] == 413


def test_a_refused_body_is_read_on_for_a_while_so_that_the_client_gets_to_read_the_answer() -> None:
    assert ask(read_it, [b"x" * 5] * 6) == (413, 6)
    status, read = ask(read_it, [b"x" * 5] * 1000)
    assert status == 413
    assert read < 10
