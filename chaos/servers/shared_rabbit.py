"""One RabbitMQ for all processes of a test run: a start costs seconds, a virtual host milliseconds."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psutil

from chaos.polling import poll_until
from chaos.servers.rabbit import RabbitAccess, RabbitServer

OTHERS_LEAVE_WITHIN_SECONDS = 3600.0


class SharedRabbit:
    """Whoever joins first starts the node; on leaving, the starter waits for the others and stops it.

    `directory` is common to the processes of one run and to no other run.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "rabbitmq"
        self._access_file = self._directory / "access.json"
        self._member_file = self._directory / f"member-{os.getpid()}"
        self._server: RabbitServer | None = None

    def join(self) -> RabbitAccess:
        """How to reach the node, started if it was not there."""
        self._directory.mkdir(exist_ok=True)
        with self._locked():
            if self._access_file.exists():
                access = RabbitAccess(**json.loads(self._access_file.read_text()))
            else:
                self._server = RabbitServer()
                self._server.start()
                access = self._server.access
                self._access_file.write_text(json.dumps(asdict(access)))
            self._member_file.touch()
        return access

    def leave(self) -> None:
        """Say that this process is done with it; the starter returns when the node has stopped."""
        self._member_file.unlink(missing_ok=True)
        if self._server is None:
            return
        try:
            poll_until(self._last_one_out, within_seconds=OTHERS_LEAVE_WITHIN_SECONDS, what="the others left RabbitMQ")
        finally:
            self._server.close()

    def _last_one_out(self) -> bool:
        with self._locked():
            members = (int(path.name.removeprefix("member-")) for path in self._directory.glob("member-*"))
            if any(psutil.pid_exists(member) for member in members):
                return False
            self._access_file.unlink()  # whoever joins from here on starts another
            return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
