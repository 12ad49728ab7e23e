"""The socket of the API: had before anything starts, or refused with what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from statistics import median
from threading import Thread

import httpx2
import pytest
import uvicorn

from app.errors import StartRefused
from app.supervision.listener import address_of, inherited, listen


def test_port_0_is_any_free_one_and_its_address_is_known_at_once() -> None:
    with listen(host="127.0.0.1", port=0) as listener:
        port = listener.getsockname()[1]
        assert address_of(listener) == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_taken_port_is_one_clear_line() -> None:
    with listen(host="127.0.0.1", port=0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            StartRefused, match=rf"^port {port} on 127\.0\.0\.1 is taken by another program: choose one"
        ):
            listen(host="127.0.0.1", port=port)


def test_a_host_that_is_not_here_is_one_clear_line() -> None:
    with pytest.raises(StartRefused, match=r"192\.0\.2\.1"):
        listen(host="192.0.2.1", port=0)


def test_an_address_for_all_interfaces_is_told_as_one_a_client_can_use() -> None:
    with listen(host="0.0.0.0", port=0) as listener:
        assert address_of(listener).startswith("http://127.0.0.1:")


def test_a_descriptor_that_is_no_socket_is_refused() -> None:
    with pytest.raises(StartRefused, match="file descriptor 12345 is no socket"):
        inherited(12345)


@pytest.mark.parametrize("is_passed_on", [False, True])
def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(is_passed_on: bool) -> None:
    """Head and body of an answer are two writes."""
    with listen(host="127.0.0.1", port=0) as listener:
        served = inherited(os.dup(listener.fileno())) if is_passed_on else listener
        server = uvicorn.Server(uvicorn.Config(hello, log_config=None, lifespan="off"))
        thread = Thread(target=server.run, kwargs={"sockets": [served]}, daemon=True)
        thread.start()
        try:
            with httpx2.Client(base_url=address_of(listener), trust_env=False) as client:
                client.get("/")
                took = [client.get("/").elapsed.total_seconds() for _ in range(20)]
        finally:
            server.should_exit = True
            thread.join(10)

    assert median(took) < 0.03  # Linux holds an acknowledgement back for 0.04 s


async def hello(_scope: object, _receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
