"""The write gate: one SQLite writer at a time, in the order they came.

SQLite lets a second writer retry until it is lucky. A `flock` taken before `BEGIN IMMEDIATE` makes a
queue of the waiting processes instead: p95 of a write beside a relay and two busy workers fell from
54 ms to 24 ms (docs/adr/0006). The lock lives in an open file, so it dies with its process.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

from app.errors import WriteGateBusy

FORK_WAITS_SECONDS = 10.0


class WriteGate:
    """A lock between threads and processes that is waited for in turn, and never for ever."""

    def __init__(self, path: Path, *, timeout_seconds: float) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._turn = threading.Lock()
        self._holder: int | None = None
        self._open_files: set[int] = set()
        self._forking = False
        self._writing = threading.Lock()  # held while the gate is, and while this process forks
        os.register_at_fork(
            before=self._finish_writing, after_in_parent=self._go_on_writing, after_in_child=self._forget
        )

    def acquire(self) -> int:
        """Wait for the gate and return its open file; `release` wants it back.

        Raises `WriteGateBusy` when the gate stayed shut for the timeout, and `RuntimeError` at once when this
        thread holds it already: a write inside a write would wait for itself.
        """
        if self._holder == threading.get_ident():
            raise RuntimeError("a write transaction was opened inside a write transaction")
        deadline = time.monotonic() + self._timeout_seconds
        if not self._turn.acquire(timeout=self._timeout_seconds):
            raise WriteGateBusy(f"the database was busy for {self._timeout_seconds:g} seconds")
        try:
            file = self._lock_file(deadline)
        except BaseException:
            self._turn.release()
            raise
        self._writing.acquire()
        self._holder = threading.get_ident()
        self._open_files.add(file)
        return file

    def release(self, file: int) -> None:
        """Let the next one in."""
        self._holder = None
        fcntl.flock(file, fcntl.LOCK_UN)  # not by closing alone: a child forked meanwhile has the file open too
        self._open_files.discard(file)
        os.close(file)
        self._writing.release()
        self._turn.release()

    def _finish_writing(self) -> None:
        """Before a fork: SQLite's own table of locks is copied, and a child born inside a write could never write."""
        self._forking = self._holder != threading.get_ident() and self._writing.acquire(timeout=FORK_WAITS_SECONDS)

    def _go_on_writing(self) -> None:
        if self._forking:
            self._writing.release()

    def _forget(self) -> None:
        """In a forked child: the parent's write is not ours."""
        for file in self._open_files:
            os.close(file)
        self._open_files, self._holder, self._turn = set(), None, threading.Lock()
        self._writing, self._forking = threading.Lock(), False

    def _lock_file(self, deadline: float) -> int:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:  # no file descriptors, no space: another time
            raise WriteGateBusy(f"the write lock cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait_in_line(file, deadline)
        except BaseException:
            os.close(file)
            raise
        return file

    def _wait_in_line(self, file: int, deadline: float) -> int:
        """`flock` has no timeout: a thread waits in the kernel's queue, and gives the lock back if nobody wants it."""
        settled, locked, abandoned = threading.Lock(), threading.Event(), threading.Event()

        def wait() -> None:
            fcntl.flock(file, fcntl.LOCK_EX)
            with settled:
                locked.set()
                if abandoned.is_set():
                    fcntl.flock(file, fcntl.LOCK_UN)  # as in `release`: a forked child may have the file open too
                    os.close(file)

        threading.Thread(target=wait, name="write-gate", daemon=True).start()
        locked.wait(max(0.0, deadline - time.monotonic()))
        with settled:
            if locked.is_set():
                return file
            abandoned.set()
        raise WriteGateBusy(f"another process held the database for {self._timeout_seconds:g} seconds")
