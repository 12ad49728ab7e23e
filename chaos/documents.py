"""A web server whose documents hold whoever fetches them, fail, or kill: what makes "in the middle of a task" exact.

/page/NAME              a page
/held/NAME              answered once it is released; says which process waits for it
/flaky/NAME?fails=N     503 for N times, then a page (N below 0: always, until it is repaired)
/poison/child/NAME      kills the process that asks, each time
/poison/worker/NAME     kills that process and the worker it belongs to, each time
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

import psutil

HELD_AT_MOST_SECONDS = 120.0
PAGE = (
    "<html><head><title>{name}</title></head><body><h1>{name}</h1>"
    "<p>{name} is a page of the chaos suite, long enough to be taken for an article.</p></body></html>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Somebody asked for a document: when (monotonic), and which process (0: it was gone already)."""

    at: float
    pid: int


class DocumentServer:
    """On a port of its own of the loopback. Everything in it is safe between threads."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._arrivals: dict[str, list[Arrival]] = defaultdict(list)
        self._released: dict[str, Event] = defaultdict(Event)
        self._lock = Lock()
        self.killed: list[int] = []
        self.repaired = Event()

    @property
    def authority(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        """Of one document."""
        return f"http://{self.authority}{path}"

    def arrivals(self, path: str) -> list[Arrival]:
        """Who asked for it so far, in order."""
        with self._lock:
            return list(self._arrivals[path.split("?", maxsplit=1)[0]])

    def release(self, path: str) -> None:
        """Answer whoever waits for it, and whoever comes later."""
        with self._lock:
            self._released[path.split("?", maxsplit=1)[0]].set()

    def answer(self, path: str, client_port: int) -> tuple[int, str] | None:
        """Status and body; None when the asker is dead. For the handler."""
        parts = urlsplit(path)
        kind, _, name = parts.path.strip("/").partition("/")
        asked = time.monotonic()  # whose connection it is takes a while to find out, which is none of the product's
        pid = _pid_of(client_port, self._server.server_address[1]) if kind in {"held", "poison"} else 0
        with self._lock:
            self._arrivals[parts.path].append(Arrival(at=asked, pid=pid))
            count, released = len(self._arrivals[parts.path]), self._released[parts.path]
        if kind == "poison":
            self._kill(pid, and_parent=name.startswith("worker/"))
            return None
        if kind == "held":
            released.wait(HELD_AT_MOST_SECONDS)
        fails = int(parse_qs(parts.query).get("fails", ["0"])[0])
        if not self.repaired.is_set() and (fails < 0 or count <= fails):
            return 503, "try later"
        return 200, PAGE.format(name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for event in self._released.values():
                event.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _kill(self, pid: int, *, and_parent: bool) -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            victims = [process.parent(), process] if and_parent else [process]
            for victim in victims:
                if victim is not None:
                    self.killed.append(victim.pid)
                    victim.kill()


def _pid_of(client_port: int, server_port: int) -> int:
    """The process behind a connection to this server, 0 when it cannot be told.

    The same port of its side may be that of somebody else's connection to another server.
    """
    for one in psutil.net_connections("tcp4"):
        if one.laddr and one.raddr and (one.laddr.port, one.raddr.port) == (client_port, server_port) and one.pid:
            return int(one.pid)
    return 0


def _handler_of(documents: DocumentServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Whatever the documents say; nothing when the asker is gone."""
            answer = documents.answer(self.path, self.client_address[1])
            if answer is None:
                return
            status, text = answer
            body = text.encode()
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in http.server
            """Say nothing."""

    return Handler
