"""Temporary directories that are removed even when their owner is killed: by whoever makes one next."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKEN = re.compile(r"[0-9a-f]{8}")


class DirectoriesOfAProcess:
    """Below `root`, each named after its process's token. The process holds a lock on the file of that name.

    The kernel frees the lock when the process ends, however it ends. Before a process makes its first directory it
    removes those of every token of this user whose lock is free.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._owners = root / f"alexandria-owners-{os.getuid()}"
        self._locks: list[int] = []
        self._pid = 0
        self._token = ""

    def make(self, name: str) -> Path:
        """A new one, empty, for this user alone. Who made it removes it; after its death whoever comes next."""
        if self._pid != os.getpid():  # a fork has its parent's locks, and may outlive it
            self._pid, self._token = os.getpid(), self._register()
        return Path(tempfile.mkdtemp(prefix=f"alexandria-{name}-{self._token}-", dir=self._root))

    def _register(self) -> str:
        self._owners.mkdir(mode=0o700, exist_ok=True)
        with self._nobody_else():
            self._sweep()
            token = secrets.token_hex(4)
            lock = os.open(self._owners / token, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        self._locks.append(lock)  # until the process ends
        return token

    @contextmanager
    def _nobody_else(self) -> Iterator[None]:
        """A lock file that is new, and not locked yet, would be taken for one of a dead process."""
        with (self._owners / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        for file in self._owners.iterdir():
            if TOKEN.fullmatch(file.name):
                with file.open() as lock:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    self._remove(file)

    def _remove(self, file: Path) -> None:
        """What a dying server still writes to stays, with its token, for the next time."""
        left = f"alexandria-*-{file.name}-*"
        for directory in self._root.glob(left):
            shutil.rmtree(directory, ignore_errors=True)
        if not list(self._root.glob(left)):
            file.unlink()


_directories = DirectoriesOfAProcess(Path(tempfile.gettempdir()))


def new_directory(name: str) -> Path:
    """See `DirectoriesOfAProcess.make`."""
    return _directories.make(name)
