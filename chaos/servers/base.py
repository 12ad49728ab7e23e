"""What every private server can do: start, stop, be killed, be frozen, come back on the same port and data."""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from chaos.directories import new_directory
from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import HarnessError, OwnedProcess, ProcessFailed
from chaos.servers.userland import Userland, chosen_userland

FIRST_START_TRIES = 4


class Server(ABC):
    """A context manager; between `start` and `stop` a client can reach `url` unless it was killed or paused.

    The data directory is made by the first `start` and removed by `close` (or the end of the `with`); when its owner
    is killed, by whoever starts a server next.
    Its programs come from `userland`; None is the one chosen for this process
    (PostgreSQL is always this machine's).
    """

    name: ClassVar[str]
    ready_within_seconds: ClassVar[float] = 20.0
    stop_within_seconds: ClassVar[float] = 20.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, userland: Userland | None = None) -> None:
        self.userland = userland or chosen_userland()
        self._directory: Path | None = None
        self._process: OwnedProcess | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for a client, with its password."""

    @abstractmethod
    def running_version(self) -> str:
        """As the running server says, whole: `7.0.15`."""

    @abstractmethod
    def _choose_ports(self) -> None: ...

    @abstractmethod
    def _make_process(self, directory: Path) -> OwnedProcess: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    def _companions(self) -> tuple[OwnedProcess, ...]:
        """Processes that live and die with the server."""
        return ()

    @property
    def process(self) -> OwnedProcess:
        """The server's main process."""
        if self._process is None:
            raise HarnessError(f"{self.name} was never started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self.process.pid

    @property
    def directory(self) -> Path:
        """Its data, configuration and log."""
        if self._directory is None:
            raise HarnessError(f"{self.name} was never started")
        return self._directory

    @property
    def log(self) -> Path:
        """Its output."""
        return self.process.log

    def start(self) -> None:
        """Start and wait until it answers; after the first time on the same port and data."""
        if self._process is not None:
            self._start_once()
            return
        for left in reversed(range(FIRST_START_TRIES)):
            try:
                self._set_up()
                self._start_once()
            except ProcessFailed:  # another program may have taken the port in between
                if left == 0:
                    raise
                self.close()
            except BaseException:
                self.close()
                raise
            else:
                return

    def stop(self) -> None:
        """End it cleanly; its data stay."""
        if self._process is not None and self._process.running:
            self._process.terminate(within_seconds=self.stop_within_seconds, with_signal=self.stop_signal)
        self._end_companions()

    def kill(self) -> None:
        """SIGKILL; its data stay as they were on disk."""
        self.process.kill()
        self._end_companions()

    def pause(self) -> None:
        """SIGSTOP: connections stay, new ones are accepted by the kernel, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def restart(self) -> None:
        """Stop cleanly if it runs, and start on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill it if it runs and remove its data."""
        if self._process is not None:
            self._process.kill()
        self._end_companions()
        self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end_companions(self) -> None:
        for companion in self._companions():
            companion.kill()

    def _set_up(self) -> None:
        self._choose_ports()
        self._directory = new_directory(self.name)
        self._process = self._make_process(self._directory)

    def _start_once(self) -> None:
        self.process.start()
        try:
            poll_until(self._ready_or_dead, within_seconds=self.ready_within_seconds, what=f"{self.name} is ready")
        except DeadlineMissed as error:
            failure = self.process.failure(f"was not ready within {self.ready_within_seconds:g} s")
            self.process.kill()
            self._end_companions()
            raise failure from error

    def _ready_or_dead(self) -> bool:
        if not self.process.running:
            self._end_companions()
            raise self.process.failure("ended before it was ready")
        return self._is_ready()
