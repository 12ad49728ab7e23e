"""The documents of the chaos suite: held until released, failing as often as they say, killing whoever asks."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from chaos.documents import DocumentServer
from chaos.polling import poll_until
from chaos.processes import OwnedProcess

ASK = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
ASK_AS_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}, sys.argv[1]]); sys.exit(0)"

PORTS = 8
"""Which of two connections of one port is listed first is chance."""
USE_PORTS = f"""
import socket, sys
used = []
for _ in range({PORTS}):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    one.connect(("127.0.0.1", int(sys.argv[1])))
    used.append(one)
sys.stdin.read() or used[0].recv(1)
"""


@pytest.fixture
def documents() -> Iterator[DocumentServer]:
    with DocumentServer() as documents:
        yield documents


def asker(documents: DocumentServer, path: str, directory: Path, *, program: str = ASK) -> OwnedProcess:
    """Another process that asks for a document and ends with 0 when it has it."""
    return OwnedProcess(
        "asker",
        [sys.executable, "-c", program, documents.url(path)],
        log=directory / "asker.log",
        environment={"PATH": os.defpath},
    )


def status_of(documents: DocumentServer, path: str) -> int:
    return httpx2.get(documents.url(path), trust_env=False).status_code


def test_a_page_is_served(documents: DocumentServer) -> None:
    assert "zebra" in httpx2.get(documents.url("/page/zebra"), trust_env=False).text


def test_a_page_fails_as_often_as_it_says(documents: DocumentServer) -> None:
    assert [status_of(documents, "/flaky/one?fails=2") for _ in range(4)] == [503, 503, 200, 200]


def test_a_page_that_always_fails_works_once_it_is_repaired(documents: DocumentServer) -> None:
    assert [status_of(documents, "/flaky/two?fails=-1") for _ in range(3)] == [503, 503, 503]
    documents.repaired.set()
    assert status_of(documents, "/flaky/two?fails=-1") == 200


def test_a_held_page_is_answered_once_it_is_released(documents: DocumentServer) -> None:
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(status_of, documents, "/held/three?fails=1")
        poll_until(lambda: documents.arrivals("/held/three"), within_seconds=5, what="somebody asks")
        assert not answer.done()
        documents.release("/held/three")
        assert answer.result(timeout=5) == 503
    assert [arrival.pid for arrival in documents.arrivals("/held/three")] == [os.getpid()]


def test_who_asks_is_not_taken_for_who_uses_the_same_port_to_another_server(
    documents: DocumentServer, tmp_path: Path
) -> None:
    with ExitStack() as open_sockets:
        elsewhere = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        other = OwnedProcess(
            "other",
            [sys.executable, "-c", USE_PORTS, str(elsewhere.getsockname()[1])],
            log=tmp_path / "other.log",
            environment={"PATH": os.defpath},
        )
        other.start()
        server = urlsplit(documents.url(""))
        for number in range(PORTS):
            connection, (_, port) = elsewhere.accept()
            open_sockets.enter_context(connection)
            asker = open_sockets.enter_context(socket.socket())
            asker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            asker.bind(("127.0.0.1", port))
            asker.connect((server.hostname, server.port))
            asker.sendall(f"GET /held/{number} HTTP/1.0\r\n\r\n".encode())
        found = [
            poll_until(lambda one=number: documents.arrivals(f"/held/{one}"), within_seconds=5, what="somebody asks")  # type: ignore[misc]  # bound at once
            for number in range(PORTS)
        ]
        other.kill()
    assert [arrival.pid for [arrival] in found] == [os.getpid()] * PORTS


def test_poison_kills_the_process_that_asks(documents: DocumentServer, tmp_path: Path) -> None:
    process = asker(documents, "/poison/child/four", tmp_path)
    process.start()
    poll_until(lambda: not process.running, within_seconds=10, what="the asker is dead")
    assert process.exit_code == -9
    assert documents.killed == [process.pid]


def test_poison_for_workers_kills_the_parent_too(documents: DocumentServer, tmp_path: Path) -> None:
    process = asker(documents, "/poison/worker/five", tmp_path, program=ASK_AS_A_CHILD)
    process.start()
    poll_until(lambda: not process.running, within_seconds=10, what="the parent of the asker is dead")
    assert process.exit_code == -9
    poll_until(lambda: len(documents.killed) == 2, within_seconds=5, what="the asker is dead too")
    assert documents.killed[0] == process.pid
