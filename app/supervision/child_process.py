"""One supervised process: started in a session of its own, read line by line, ended with all it started."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.supervision.started_process import Copy, Program, StartedProcess

_RECENT_LINES = 20
_CHUNK_BYTES = 65_536
_LONGEST_LINE_BYTES = 65_536

FIRST_RESTART_SECONDS = 0.25
LONGEST_RESTART_SECONDS = 15.0
STEADY_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run, how to tell that it is ready, and how to end it.

    Either a `command` with its `environment`, or `run`, a function that a copy of this process calls.
    `one_shot`: it does its work and ends; it is ready when it has ended with 0. Otherwise it runs for ever and is
    ready when `ready` says so. `death_signal` is what the kernel sends it when the supervisor dies. Lines that
    contain `unsaid` are nobody's concern.
    """

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    run: Callable[[], object] | None = None
    one_shot: bool = False
    ready: Callable[[], bool] = lambda: True
    death_signal: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    inherited_files: tuple[int, ...] = ()
    unsaid: str | None = None


class ChildProcess:
    """The process of one spec, started as often as it takes."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.recent: deque[str] = deque(maxlen=_RECENT_LINES)
        self.starts = 0
        self.quick_ends = 0
        self.restart_at: float | None = None
        self._process: StartedProcess | None = None
        self._started_at = 0.0
        self._unfinished = b""

    @property
    def name(self) -> str:
        """Its role, as the log prefix shows it."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def output(self) -> int:
        """The file descriptor its output is read from, without blocking."""
        assert self._process is not None
        return self._process.output

    def start(self) -> None:
        """Start it, in the main thread of this program."""
        self.restart_at = None
        self.starts += 1
        self._started_at = time.monotonic()
        self._unfinished = b""
        spec = self.spec
        if spec.run is not None:
            self._process = Copy(
                spec.run, name=spec.name, death_signal=spec.death_signal, inherited_files=spec.inherited_files
            )
        else:
            self._process = Program(
                spec.command,
                environment=spec.environment,
                death_signal=spec.death_signal,
                inherited_files=spec.inherited_files,
            )

    def read_lines(self) -> tuple[list[str], bool]:
        """The complete lines written since the last call, and whether nobody is left who could write more."""
        ended = False
        with suppress(BlockingIOError):
            chunk = os.read(self.output, _CHUNK_BYTES)
            ended = not chunk
            self._unfinished += chunk
        *complete, self._unfinished = self._unfinished.split(b"\n")
        if self._unfinished and (ended or len(self._unfinished) > _LONGEST_LINE_BYTES):
            complete, self._unfinished = [*complete, self._unfinished], b""
        lines = [line.decode(errors="replace").rstrip() for line in complete]
        if self.spec.unsaid is not None:
            lines = [line for line in lines if self.spec.unsaid not in line]
        self.recent.extend(line for line in lines if line)
        return lines, ended

    def end_code(self) -> int | None:
        """`None` while it runs. Once: its exit code (negative: a signal), after all that it started was killed."""
        if self._process is None:
            return None
        if not os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return None
        self.kill()  # its own children; the group's name is ours until it is collected
        return self._process.collect()

    def collected(self) -> None:
        """Forget the process that ended; note whether it ran long enough to count as working."""
        assert self._process is not None
        steady = time.monotonic() - self._started_at > STEADY_SECONDS
        self.quick_ends = 0 if steady else self.quick_ends + 1
        self._process.close()
        self._process = None

    def plan_restart(self) -> float:
        """Choose the moment of the next start; the seconds until then."""
        delay = min(FIRST_RESTART_SECONDS * 2.0 ** max(0, self.quick_ends - 1), LONGEST_RESTART_SECONDS)
        self.restart_at = time.monotonic() + delay
        return delay

    def ask_to_stop(self) -> None:
        """Send its stop signal."""
        self.restart_at = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, self.spec.stop_signal)

    def kill(self) -> None:
        """SIGKILL to it and to all that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
