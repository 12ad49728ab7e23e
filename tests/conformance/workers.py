"""A worker process for the tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.polling import poll_until
from chaos.processes import OwnedProcess

READY_WITHIN_SECONDS = 60.0
ROOT = Path(__file__).parents[2]


class Worker:
    """One solo worker with a prefetch of one."""

    def __init__(
        self, *, url: str, app: str, queues: str, directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._notes = directory / "notes"
        command = ["-m", "celery", "-A", app, "worker", "-P", "solo", "-c", "1"]
        options = ["-Q", queues, "-l", "INFO", "--without-gossip", "--without-mingle"]
        self.process = OwnedProcess(
            "worker",
            [sys.executable, *command, *options],
            log=directory / "worker.log",
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(ROOT),
                "BROKER_URL": url,
                "NOTES": str(self._notes),
                "WORKER_PREFETCH_MULTIPLIER": "1",
                **(environment or {}),
            },
            directory=directory,
        )

    def __enter__(self) -> Self:
        self.process.start()
        poll_until(self._ready_or_dead, within_seconds=READY_WITHIN_SECONDS, what="the worker is ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self.process.log.read_text()

    def notes(self, *, at_least: int) -> list[str]:
        """The lines its tasks wrote, once there are so many."""
        poll_until(
            lambda: len(self._lines()) >= at_least, within_seconds=30, what=f"{at_least} notes; log:\n{self.log}"
        )
        return self._lines()

    def _lines(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def _ready_or_dead(self) -> bool:
        if not self.process.running:
            raise self.process.failure("ended before it was ready")
        return " ready." in self.log
