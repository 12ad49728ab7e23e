"""`python -m …` as a copy of a process that has imported what it needs: 0.4 s of a processor for a start, not 2.

A run of the tests starts hundreds of processes of the product, and what they import would be two fifths of its time.
`alexandria up` starts its processes in the same way. A copy runs the module as `__main__`, with its own command line,
environment, directory, session and log, is a child of the process that asked for it, and dies with it. What reads
settings while it is imported is not imported before: a copy has the settings of its own environment.

The tests switch it on (`begin`). Chaos runs do so for what is there before anything breaks: who is started again in a
scenario is started afresh. Benchmarks do not: there a start is part of what is measured.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from app.supervision.parent_death import die_with_parent
from app.supervision.started_process import close_all_but
from chaos.polling import DeadlineMissed, poll_until

ROOT = Path(__file__).resolve().parents[1]
OF_SETTINGS = frozenset({"app.tasks.celery_app", "app.tasks.celery_tasks"})
"""They read the settings while they are imported."""
NOT_FOR_ALL = frozenset({"app.cli", "app.embedding.onnx", "app.embedding.sentence_transformers_engine"})
"""Run as `__main__`; of onnxruntime, for a thread of which a copy would wait at its end; in need of an extra."""
LIBRARIES = (
    *("celery.bin.celery", "celery.apps.worker", "celery.apps.beat", "celery.concurrency.prefork"),
    *("uvicorn.lifespan.on", "uvicorn.protocols.http.auto", "uvicorn.loops.auto"),
    *("alembic.command", "tokenizers"),
)
"""What the processes import by themselves, later."""
HARMLESS_VARIABLES = frozenset({"PYTHONUNBUFFERED", "PYTHONPATH"})
ADOPTED_WITHIN_SECONDS = 10.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One start: all that a copy does not inherit."""

    owner: int
    command: list[str]
    environment: dict[str, str]
    directory: str
    log: str
    death_signal: str
    errors: str | None = None
    """A file of its own for standard error; None: the log."""


class Adopted:
    """A child of this process that somebody else forked; what `subprocess.Popen` has of it."""

    def __init__(self, pid: int, command: Sequence[str]) -> None:
        self.pid = pid
        self._command = tuple(command)
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """None while it runs; then its exit code, negative: ended by that signal."""
        if self._exit_code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    def wait(self, timeout: float) -> int:
        """The exit code, or `subprocess.TimeoutExpired` after so many seconds."""
        try:
            poll_until(lambda: self.poll() is not None, within_seconds=timeout, every_seconds=0.01, what="it ended")
        except DeadlineMissed:
            raise subprocess.TimeoutExpired(self._command, timeout) from None
        assert self._exit_code is not None
        return self._exit_code

    def send_signal(self, number: int) -> None:
        """To a process that has ended: nothing."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class WarmParent:
    """The process that is copied. It ends with the one that made it, or when it is closed."""

    def __init__(self, log: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chaos.warm_start", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
                pass_fds=(theirs.fileno(),),
            )
        self._channel = ours.makefile("rwb", buffering=0)
        ours.close()
        self._log = log

    def start(self, order: Order) -> Adopted:
        """A copy that does as ordered. Call it in the main thread: the copy dies with the thread that adopts it."""
        _adopt_orphans(yes=True)
        try:
            self._channel.write(json.dumps(asdict(order)).encode() + b"\n")
            answer = self._channel.readline()
        finally:
            _adopt_orphans(yes=False)
        if not answer:
            raise ChildProcessError(f"the process that is copied has ended with {self._process.wait()}: {self._log}")
        return Adopted(int(answer), order.command)

    def close(self) -> None:
        """It ends; its copies do not."""
        self._channel.close()
        self._process.wait(timeout=10)


_parent: WarmParent | None = None
_log: Path | None = None
_restarts = True


def begin(log: Path, *, restarts: bool = True) -> None:
    """From now on `parent_for` has one, for `restarts` too or not; it is made when it is first asked for.

    `log` is where it complains.
    """
    global _log, _restarts
    _log, _restarts = log, restarts


def end() -> None:
    """Take `begin` back."""
    global _log, _parent  # noqa: PLW0603
    if _parent is not None:
        _parent.close()
    _log = _parent = None


def forget() -> None:
    """In a fork of the process that called `begin`: what is copied there is not ours."""
    global _log, _parent  # noqa: PLW0603
    _log = _parent = None


def parent_for(
    command: Sequence[str], *, environment: Mapping[str, str], directory: Path | None, is_restart: bool = False
) -> WarmParent | None:
    """What can be copied for this command; None: it has to be started afresh.

    That is so unless `begin` was called, for other programs, another source of the product, and variables that
    Python reads when it starts.
    """
    global _parent  # noqa: PLW0603
    of_python = {name for name in environment if name.startswith("PYTHON")} - HARMLESS_VARIABLES
    if _log is None or (is_restart and not _restarts):
        return None
    if tuple(command[:2]) != (sys.executable, "-m") or directory != ROOT or of_python:
        return None
    if environment.get("PYTHONPATH", str(ROOT)) != str(ROOT):
        return None
    if _parent is None:
        _parent = WarmParent(_log)
    return _parent


def _adopt_orphans(*, yes: bool) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def main() -> None:
    """The process that is copied: `python -m chaos.warm_start DESCRIPTOR`."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    order = _serve(connection)
    if order is not None:
        runpy.run_module(order.command[2], run_name="__main__", alter_sys=True)


def _import_all() -> None:
    import app  # noqa: PLC0415 — the processes that only ask for copies do without

    names = {module.name for module in pkgutil.walk_packages(app.__path__, "app.")}
    for name in (*sorted(names - OF_SETTINGS - NOT_FOR_ALL), *LIBRARIES):
        importlib.import_module(name)
    if early := OF_SETTINGS & sys.modules.keys():
        raise ImportError(f"imported before their settings are known: {', '.join(sorted(early))}")
    # Threads of C libraries are not seen here; of those imported, only onnxruntime's keeps a copy from ending.
    if "onnxruntime" in sys.modules or threading.active_count() > 1:
        raise ImportError(f"a copy would lack, and wait for, its threads: {threading.enumerate()}")
    gc.collect()
    gc.freeze()  # the collector of a copy would touch, and so double, every page


def _serve(connection: socket.socket) -> Order | None:
    """Fork for every order. In this process: None, when nobody is left who could ask. In a copy: its order."""
    channel = connection.makefile("rwb", buffering=0)
    while line := channel.readline():
        order = Order(**json.loads(line))
        reader, writer = os.pipe()
        between = os.fork()
        if between == 0:
            between = os.getpid()
            copy = os.fork()
            if copy == 0:
                channel.close()
                connection.close()
                _become(order, between)
                return order
            os.write(writer, str(copy).encode())
            os._exit(0)  # so the copy is an orphan, and the one that ordered it adopts it
        os.waitpid(between, 0)
        os.close(writer)
        channel.write(os.read(reader, 20) + b"\n")
        os.close(reader)
    return None


def _become(order: Order, between: int) -> None:
    poll_until(
        lambda: os.getppid() != between, within_seconds=ADOPTED_WITHIN_SECONDS, every_seconds=0.001, what="adopted"
    )
    die_with_parent(order.owner, signal.Signals[f"SIG{order.death_signal}"])
    os.setsid()
    log = _opened(order.log)
    errors = log if order.errors is None else _opened(order.errors)
    for descriptor, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, errors)):
        os.dup2(source, descriptor)
    close_all_but({0, 1, 2})
    os.chdir(order.directory)
    os.environ.clear()
    os.environ.update(order.environment)
    sys.orig_argv = order.command
    sys.argv = order.command[2:]


def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


if __name__ == "__main__":
    main()
