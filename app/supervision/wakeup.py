"""Wakeup: a pipe that makes a selector return when a signal arrives."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wakeup:
    """Written to by the interpreter at each signal that has a handler; read by a selector."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Inside the block, signals write to it. Main thread only."""
        before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)

    def drain(self) -> None:
        """Forget the signals that arrived so far."""
        with suppress(BlockingIOError):
            while os.read(self.reader, 512):
                pass

    def close(self) -> None:
        """Give both ends back."""
        os.close(self.reader)
        os.close(self._writer)
