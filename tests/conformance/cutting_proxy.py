"""A TCP proxy that closes the connection after a chosen number of bytes."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from threading import Lock, Thread
from types import TracebackType
from typing import Literal, Self

Direction = Literal["requests", "replies"]


class CuttingProxy:
    """Forwards to a port on the loopback; `cut_after` ends whatever connection passes the mark next."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._left: dict[Direction, int | None] = {"requests": None, "replies": None}
        self._question = b""
        self._asked_by: socket.socket | None = None
        self._has_cut = False
        self._lock = Lock()
        self._stack = ExitStack()
        self._threads: list[Thread] = []
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = int(self._listener.getsockname()[1])

    def cut_after(self, count: int, *, direction: Direction, question: bytes = b"") -> None:
        """Let `count` more bytes through in that direction, then close both sides, once.

        With a `question` only the bytes count that follow the next request with these words, on its connection.
        """
        with self._lock:
            self._left[direction] = count
            self._question, self._asked_by = question, None
            self._has_cut = False

    @property
    def has_cut(self) -> bool:
        """Whether the cut that was asked for last came about."""
        return self._has_cut

    def let_through(self) -> None:
        """Forget a cut that did not come about."""
        with self._lock:
            self._left = {"requests": None, "replies": None}

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._stack.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, work: object, *arguments: object) -> None:
        assert callable(work)
        thread = Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for one in (client, server):
                    self._stack.enter_context(one)
                    self._stack.callback(_shut, one)
                self._run(self._forward, client, server, "requests")
                self._run(self._forward, server, client, "replies")

    def _forward(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                client = source if direction == "requests" else target
                if direction == "requests":
                    self._note_question(data, client)
                allowed, cut = self._allow(len(data), direction, client)
                target.sendall(data[:allowed])
                if cut:
                    break
        _shut(source)
        _shut(target)

    def _note_question(self, data: bytes, client: socket.socket) -> None:
        with self._lock:
            if self._question and self._question in data:
                self._asked_by = client

    def _allow(self, count: int, direction: Direction, client: socket.socket) -> tuple[int, bool]:
        with self._lock:
            left = self._left[direction]
            if left is None or (self._question and self._asked_by is not client):
                return count, False
            if count < left:
                self._left[direction] = left - count
                return count, False
            self._left[direction] = None
            self._has_cut = True
            return left, True


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
