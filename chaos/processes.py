"""Operating-system processes that never outlive the program that started them.

HarnessError
├── ProgramMissing   a program that must be installed is not; names the package
└── ProcessFailed    a process did not become ready, or ended by itself; carries the tail of its log
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from chaos import warm_start
from chaos.polling import poll_until

LOG_TAIL_LINES = 40
# Run after the parent-death signal is set: an owner that died before that would never be noticed.
UNLESS_ORPHANED = '[ "$PPID" = "$0" ] || exit 1; exec "$@"'


class HarnessError(RuntimeError):
    """Root of what goes wrong in the harness itself, not in the program under test."""


class ProgramMissing(HarnessError):
    """One line: which program, and the package that brings it."""


class ProcessFailed(HarnessError):
    """A process that should be running is not."""


def find_program(name: str, *, package: str, extra_directories: Sequence[Path] = ()) -> str:
    """The absolute path of a program on PATH or in one of the directories, or `ProgramMissing`."""
    path = os.pathsep.join([*map(str, extra_directories), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    if found is None:
        raise ProgramMissing(f"{name} is not installed: apt-get install {package}")
    return found


class OwnedProcess:
    """One program run in a session of its own, which the kernel ends when its owner dies.

    The parent-death signal belongs to the *thread* that started the process, so `start` is refused
    anywhere but in the main thread. Signals go to the process and to all its descendants, in whatever
    session these are (every PostgreSQL backend makes its own).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        directory: Path | None = None,
        user: str | None = None,
        death_signal: str = "KILL",
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log = log
        self.environment = dict(environment)
        self.directory = directory
        self.user = user
        self.death_signal = death_signal
        self._process: subprocess.Popen[bytes] | warm_start.Adopted | None = None
        self._asked: list[psutil.Process] | None = None

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        if self._process is None:
            raise HarnessError(f"{self.name} was never started")
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """Of it and all its descendants; empty when it does not run."""
        return [one.pid for one in self._everyone()]

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before its first start; negative: ended by that signal."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; the log of earlier starts is kept and appended to."""
        if self.running:
            raise HarnessError(f"{self.name} is already running")
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError(f"start {self.name} in the main thread: it dies with the thread that started it")
        self._asked = None
        warm = warm_start.parent_for(
            self.command,
            environment=self.environment,
            directory=self.directory,
            is_restart=self._process is not None,
        )
        self._process = self._copy(warm) if warm is not None else self._execute()

    def _copy(self, warm: warm_start.WarmParent) -> warm_start.Adopted:
        self.log.touch()  # whoever reads it at once finds it empty
        return warm.start(
            warm_start.Order(
                owner=os.getpid(),
                command=list(self.command),
                environment=self.environment,
                directory=str(self.directory),
                log=str(self.log.absolute()),
                death_signal=self.death_signal,
            )
        )

    def _execute(self) -> subprocess.Popen[bytes]:
        setpriv = find_program("setpriv", package="util-linux")
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [
                    *(setpriv, "--pdeathsig", self.death_signal, "--"),
                    *("/bin/sh", "-c", UNLESS_ORPHANED, str(os.getpid()), *self.command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.directory,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )

    def kill(self) -> None:
        """SIGKILL to it and all its descendants; returns when it is gone."""
        everyone = self._everyone()
        self._signal(everyone, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=10)
        poll_until(lambda: all(map(_is_gone, everyone)), within_seconds=10, what=f"{self.name} is gone")

    def kill_alone(self) -> None:
        """SIGKILL to the main process only, as the kernel's memory killer does; returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def ask_to_end(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, once, and do not wait; `terminate` waits."""
        if self._process is None or self._asked is not None:
            return
        self.resume()
        self._asked = self._everyone()
        self._process.send_signal(with_signal)

    def terminate(self, *, within_seconds: float = 20.0, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, if nobody has; wait; its exit code. `ProcessFailed` (and SIGKILL) when it does not."""
        if self._process is None:
            return 0
        self.ask_to_end(with_signal)
        try:
            code = self._process.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self.failure(f"did not end within {within_seconds:g} s of {with_signal.name}") from None
        self._signal([one for one in self._asked or () if one.is_running()], signal.SIGKILL)
        return code

    def pause(self) -> None:
        """SIGSTOP: it keeps its sockets and answers nothing; returns when all of it stands still."""
        self._signal(self._everyone(), signal.SIGSTOP)
        poll_until(self._stopped, within_seconds=5, what=f"{self.name} stands still")

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(self._everyone(), signal.SIGCONT)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its output, every start together."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def failure(self, what: str) -> ProcessFailed:
        """The exception to raise: what happened, the exit code, and the tail of the log."""
        state = "still running" if self.running else f"exit code {self.exit_code}"
        return ProcessFailed(f"{self.name} {what} ({state}); last lines of {self.log}:\n{self.log_tail()}")

    def _everyone(self) -> list[psutil.Process]:
        if not self.running:
            return []
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        return []

    def _stopped(self) -> bool:
        return all(_is_gone(one) or one.status() == psutil.STATUS_STOPPED for one in self._everyone())

    @staticmethod
    def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def _is_gone(process: psutil.Process) -> bool:
    """Ended, or a zombie that its new parent has not collected yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
