"""Worker processes of the product, configured by its own settings, that run tasks which a test can hold."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from app.migrate import upgrade
from app.settings import load_settings
from app.transports.base import Message, Priority, Transport
from chaos.polling import poll_until
from chaos.processes import OwnedProcess

READY_WITHIN_SECONDS = 90.0
PUBLISH_WITHIN_SECONDS = 30.0
HANGS = "the consumer hangs"
"""What a watchdog says in the log before it starts its worker anew."""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of a held task. `at` is wall-clock time, `pid` the process that ran it."""

    event: str
    what: str
    worker: str
    pid: int
    at: float


class HeldTasks:
    """What the held tasks of all workers of a test noted, and the word that lets them end."""

    def __init__(self, directory: Path, transport: Transport) -> None:
        self.directory = directory
        self._transport = transport
        self._releases = directory / "released"
        self._releases.mkdir()

    @property
    def file(self) -> Path:
        """Where the tasks write."""
        return self.directory / "notes"

    def publish(self, count: int = 1, *, seconds: float = 600.0, queue: str = "default") -> list[str]:
        """Send tasks that run for `seconds` unless released before; their names."""
        names = [uuid4().hex for _ in range(count)]
        sent = [
            Message(call_id=uuid4(), task="conformance.hold", args=(name, seconds), queue=queue, priority=Priority.HIGH)
            for name in names
        ]
        outcomes = self._transport.publish(sent, deadline_seconds=PUBLISH_WITHIN_SECONDS)
        assert all(outcome.accepted for outcome in outcomes), outcomes
        return names

    def release(self, *names: str) -> None:
        """Let these end."""
        for name in names:
            (self._releases / name).touch()

    def notes(self) -> list[Note]:
        """All lines so far."""
        lines = self.file.read_text().splitlines(keepends=True) if self.file.exists() else []
        return [Note(**json.loads(line)) for line in lines if line.endswith("\n")]

    def starts(self, name: str, *, by: str | None = None) -> list[Note]:
        """The starts of one task, of one worker or of all."""
        return [note for note in self._of("start", name) if by in {None, note.worker}]

    def ends(self, name: str) -> list[Note]:
        """The ends of one task."""
        return self._of("end", name)

    def wait_started(self, *names: str, within_seconds: float = 30.0) -> None:
        """Until each has started somewhere."""
        poll_until(lambda: all(map(self.starts, names)), within_seconds=within_seconds, what=f"{names} started")

    def wait_ended(self, *names: str, times: int = 1, within_seconds: float = 30.0) -> None:
        """Until each has ended so often."""
        poll_until(
            lambda: all(len(self.ends(name)) >= times for name in names),
            within_seconds=within_seconds,
            what=f"{names} ended",
        )

    def _of(self, event: str, name: str) -> list[Note]:
        return [note for note in self.notes() if note.event == event and note.what == name]


class ProductWorker:
    """`celery -A app.tasks.celery_app worker` with the held task beside the product's own."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        tasks: HeldTasks,
        pool: str = "prefork",
        concurrency: int = 2,
        queues: str = "default",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._readies = 0
        command = ["-m", "celery", "-A", "tests.conformance.held_task", "worker", "-P", pool, "-c", str(concurrency)]
        options = ["-Q", queues, "-n", f"{name}@test", "-l", "INFO", "-E", "--without-gossip", "--without-mingle"]
        self.process = OwnedProcess(
            name,
            [sys.executable, *command, *options],
            log=tasks.directory / f"{name}.log",
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                "BROKER_URL": url,
                "DATA_DIR": str(tasks.directory),
                "EMBEDDING_ENGINE": "hashing",
                "NOTES": str(tasks.file),
                "WORKER_NAME": name,
                "WORKER_PREFETCH_MULTIPLIER": "1",
                **(environment or {}),
            },
            directory=ROOT,
        )

    @property
    def log(self) -> str:
        """What it wrote in all its lives."""
        return self.process.log.read_text()

    def start(self) -> None:
        """Start it; returns when it takes messages."""
        self._readies = self.times_ready()
        self.process.start()
        poll_until(self._ready_or_dead, within_seconds=READY_WITHIN_SECONDS, what=f"{self.name} is ready")

    def times_ready(self) -> int:
        """How often it said that it is ready."""
        return self.log.count(" ready.") if self.process.log.exists() else 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"{self.name}:\n{self.process.log_tail()}")
        self.process.kill()

    def _ready_or_dead(self) -> bool:
        if not self.process.running:
            raise self.process.failure("ended before it was ready")
        return self.times_ready() > self._readies


@contextmanager
def held_tasks(directory: Path, transport: Transport) -> Iterator[HeldTasks]:
    """A directory with the product's database for the workers; every task is let go at the end."""
    upgrade(load_settings(data_dir=directory))
    transport.declare(deadline_seconds=PUBLISH_WITHIN_SECONDS)
    yield HeldTasks(directory, transport)
