"""Two ways to start a process: run a program, or go on as a copy of this one.

A copy shares the memory of everything imported before, and starts in milliseconds. Both have a session of their
own, write to a pipe that can be read without blocking, and are ended by the kernel when their parent dies. Start
them in the main thread only: see `parent_death`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn, Protocol

from app.supervision.parent_death import die_with_parent

_CAUGHT_BY_PARENTS = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class StartedProcess(Protocol):
    """A process that runs, or ran and was not collected yet."""

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        ...

    @property
    def output(self) -> int:
        """The file descriptor of what it writes."""
        ...

    def collect(self) -> int:
        """Wait for its end; its exit code, or minus the signal that ended it."""
        ...

    def close(self) -> None:
        """Stop reading its output."""
        ...


class Program:
    """A program of the operating system."""

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str],
        death_signal: signal.Signals,
        inherited_files: tuple[int, ...] = (),
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            pass_fds=inherited_files,
            preexec_fn=partial(die_with_parent, os.getpid(), death_signal),  # noqa: PLW1509 — one thread here
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        self.pid = self._process.pid
        self.output = self._stdout.fileno()
        os.set_blocking(self.output, False)

    def collect(self) -> int:
        """See `StartedProcess`."""
        return self._process.wait()

    def close(self) -> None:
        """See `StartedProcess`."""
        self._stdout.close()


class Copy:
    """A fork of this process that calls a function and ends with it."""

    def __init__(
        self,
        run: Callable[[], object],
        *,
        name: str,
        death_signal: signal.Signals,
        inherited_files: tuple[int, ...] = (),
    ) -> None:
        self.output, writer = os.pipe()
        _flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _live(
                partial(_set_up, parent, name=name, death_signal=death_signal, output=writer, keep=inherited_files), run
            )
        os.close(writer)
        os.set_blocking(self.output, False)

    def collect(self) -> int:
        """See `StartedProcess`."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        """See `StartedProcess`."""
        os.close(self.output)


def _live(set_up: Callable[[], None], run: Callable[[], object]) -> NoReturn:
    """The whole life of a copy. It never returns into its parent's frames, so what these hold is not freed twice."""
    code = 1
    try:
        set_up()
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 — the end of a process: nobody is left to handle it
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _set_up(parent: int, *, name: str, death_signal: signal.Signals, output: int, keep: tuple[int, ...]) -> None:
    signal.set_wakeup_fd(-1)
    for number in _CAUGHT_BY_PARENTS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent(parent, death_signal)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    close_all_but({0, 1, 2, *keep})
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 — lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


def close_all_but(kept: Iterable[int]) -> None:
    """In a new process. The locks of its parent above all: they must be free when that is gone."""
    listing = Path("/proc/self/fd")
    descriptors = {int(file.name) for file in listing.iterdir()} if listing.is_dir() else set(range(1024))
    for descriptor in descriptors - set(kept):
        with suppress(OSError):
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
