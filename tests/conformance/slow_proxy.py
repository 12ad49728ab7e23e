"""A TCP proxy that delays each piece of data both ways, as a long and shaky line does."""

from __future__ import annotations

import random
import socket
import time
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread

from tests.conformance.cutting_proxy import CuttingProxy, Direction


class SlowProxy(CuttingProxy):
    """Delays by `milliseconds` ± `jitter_milliseconds`, seeded, once it is `slow`; the order of bytes stays."""

    def __init__(
        self, port: int, *, milliseconds: float, jitter_milliseconds: float, seed: int, slow: bool = True
    ) -> None:
        super().__init__(port)
        self.slow = slow
        self._milliseconds = milliseconds
        self._jitter_milliseconds = jitter_milliseconds
        self._random = random.Random(seed)

    def _forward(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        pieces: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        writer = Thread(target=self._write, args=(pieces, target), daemon=True)
        writer.start()
        with suppress(OSError):
            while data := source.recv(65536):
                pieces.put((time.monotonic() + self._delay_seconds(), data))
        pieces.put((time.monotonic(), b""))
        writer.join()
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _delay_seconds(self) -> float:
        if not self.slow:
            return 0.0
        return self._random.uniform(-1, 1) * self._jitter_milliseconds / 1000 + self._milliseconds / 1000

    @staticmethod
    def _write(pieces: SimpleQueue[tuple[float, bytes]], target: socket.socket) -> None:
        due = Event()
        with suppress(OSError):
            while True:
                due_at, data = pieces.get()
                due.wait(max(0.0, due_at - time.monotonic()))
                if not data:
                    return
                target.sendall(data)
