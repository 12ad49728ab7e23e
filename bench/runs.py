"""One run of one system: publish, start its workers, read from the journal what they did and when."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.systems import ROOT, System
from chaos.polling import poll_until
from chaos.processes import HarnessError, OwnedProcess

PUBLISHED_WITHIN_SECONDS = 120.0
DONE_WITHIN_SECONDS = 180.0
MIDDLE = (0.1, 0.95)
"""Which part of the tasks is timed: start-up and the last stragglers are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One execution: `moment` in seconds of the machine's monotonic clock."""

    number: int
    moment: float
    pid: int


class Run:
    """A context manager: a directory, a journal and the workers of one system on one broker."""

    def __init__(self, system: System, broker: str) -> None:
        self.system = system
        self._directory = Path(tempfile.mkdtemp(prefix="alexandria-bench-"))
        self._journal = self._directory / "journal"
        self._environment = system.surroundings(broker=broker, journal=self._journal)
        self._workers: list[OwnedProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for worker in self._workers:
                error.add_note(f"--- {worker.log}\n{worker.log_tail()}")
        for worker in self._workers:
            worker.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def publish(self) -> float:
        """Publish all its calls from one thread; calls per second."""
        answer = self.python("-m", "bench.apps.publisher", self.system.module, str(self.system.calls))
        return self.system.calls / float(json.loads(answer)["seconds"])

    def python(self, *arguments: str, within_seconds: float = PUBLISHED_WITHIN_SECONDS) -> str:
        """Run the system's Python to its end; the last line it printed."""
        done = subprocess.run(
            self.system.command(*arguments),
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=within_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise HarnessError(f"{self.system.name}: {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
        return (done.stdout.splitlines() or [""])[-1]

    def start_worker(self) -> OwnedProcess:
        """One more worker; it is killed at the end at the latest."""
        number = len(self._workers)
        hostname = ("-n", f"worker{number}@bench") if "celery" in self.system.worker else ()
        worker = OwnedProcess(
            f"{self.system.name}, worker {number}",
            self.system.command(*self.system.worker, *hostname),
            log=self._directory / f"worker-{number}.log",
            environment=self._environment,
            directory=ROOT,
        )
        self._workers.append(worker)
        worker.start()
        return worker

    def notes(self) -> list[Note]:
        """What was done so far, in the order of time; warm-up calls (numbers below 0) left out."""
        lines = self._journal.read_bytes().splitlines() if self._journal.exists() else []
        parts = (line.split() for line in lines)
        notes = (Note(number=int(n), moment=int(ns) / 1e9, pid=int(pid)) for n, ns, pid in parts)
        return sorted((note for note in notes if note.number >= 0), key=lambda note: note.moment)

    def wait_for(self, count: int, *, within_seconds: float = DONE_WITHIN_SECONDS) -> list[Note]:
        """The notes, once so many different calls ran."""

        def enough() -> list[Note]:
            for worker in self._workers:
                if worker.exit_code not in (None, -signal.SIGKILL):
                    raise worker.failure("ended by itself")
            if self._lines() < count:  # counting is cheap beside the workers, reading is not
                return []
            notes = self.notes()
            return notes if len({note.number for note in notes}) >= count else []

        what = f"{count} tasks of {self.system.name} ran"
        return poll_until(enough, within_seconds=within_seconds, every_seconds=0.1, what=what)

    def _lines(self) -> int:
        return self._journal.read_bytes().count(b"\n") if self._journal.exists() else 0


def throughput(system: System, broker: str) -> dict[str, float]:
    """Publish all, then let the workers drain them: `published` and `done` in calls per second, `doubled` in calls.

    `HarnessError` or `DeadlineMissed` unless every call ran.
    """
    with Run(system, broker) as run:
        published = {"published": run.publish()} if system.publishes else {}
        run.start_worker()
        notes = run.wait_for(system.calls)
        counts = Counter(note.number for note in notes)
        if set(counts) != set(range(system.calls)):
            raise HarnessError(f"{system.name}: {len(counts)} of {system.calls} calls ran")
        first, last = (notes[int(len(notes) * part)] for part in MIDDLE)
        timed = (MIDDLE[1] - MIDDLE[0]) * len(notes)
        doubled = sum(count > 1 for count in counts.values())
        return published | {"done": timed / (last.moment - first.moment), "doubled": doubled}
