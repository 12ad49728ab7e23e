"""One process of the product, started, killed, frozen and started again at will."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import OwnedProcess


class StackProcess:
    """One process of the stack; it can be killed and frozen and comes back with the same command and settings."""

    def __init__(
        self, process: OwnedProcess, *, is_up: Callable[[float], bool], up_within_seconds: float = 120.0
    ) -> None:
        """`is_up` is asked with the seconds since the latest start."""
        self._process = process
        self._is_up = is_up
        self._up_within_seconds = up_within_seconds
        self._started_at = 0.0

    @property
    def name(self) -> str:
        """`api`, `relay`, `beat`, `worker` or `ml-worker`."""
        return self._process.name

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """Of it and its pool children; empty when it does not run."""
        return self._process.pids

    @property
    def log(self) -> Path:
        """Its output, every start together."""
        return self._process.log

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._process.running

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.exit_code

    def start(self) -> None:
        """Start it without waiting for more than its existence; see `wait_until_up`."""
        self._started_at = time.monotonic()
        self._process.start()

    def wait_until_up(self) -> None:
        """Return when it does its work, or raise `ProcessFailed` with the tail of its log."""

        def up_or_dead() -> bool:
            if not self.running:
                raise self._process.failure("ended by itself")
            return self._is_up(time.monotonic() - self._started_at)

        try:
            poll_until(
                up_or_dead,
                within_seconds=self._up_within_seconds,
                every_seconds=0.2,  # each time the API is asked for everything it knows
                what=f"{self.name} is up",
            )
        except DeadlineMissed as error:
            raise self._process.failure(f"was not up within {self._up_within_seconds:g} s") from error

    def kill(self) -> None:
        """SIGKILL to it and its pool children, as when a machine dies; returns when they are gone."""
        self._process.kill()

    def kill_alone(self) -> None:
        """SIGKILL to its main process only, as the kernel's memory killer does."""
        self._process.kill_alone()

    def ask_to_end(self) -> None:
        """SIGTERM without waiting; `terminate` waits."""
        self._process.ask_to_end()

    def terminate(self, *, within_seconds: float = 30.0) -> int:
        """SIGTERM and wait for the clean end; its exit code."""
        return self._process.terminate(within_seconds=within_seconds)

    def pause(self) -> None:
        """SIGSTOP to it and its pool children."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._process.resume()

    def restart(self) -> None:
        """End it (cleanly if it runs), start it again and wait until it is up."""
        if self.running:
            self.terminate()
        self.start()
        self.wait_until_up()

    def report(self) -> str:
        """State and last lines, for a failure message."""
        state = "running" if self.running else f"exit code {self.exit_code}"
        return f"--- {self.name} ({state}) {self.log}\n{self._process.log_tail()}"
