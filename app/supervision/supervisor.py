"""`alexandria up`: the whole stack as child processes, in order, and down again.

One thread, one loop: it reads what the children write, starts again what ends, and stops everything in
reverse order. Whatever kills it, the kernel ends its children (`parent_death`).
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from app.supervision.child_process import ChildProcess, ChildSpec
from app.supervision.wakeup import Wakeup

SETTINGS_EXIT_CODE = 2
_TURN_SECONDS = 0.05
_READY_TURN_SECONDS = 0.2
_IDLE_TURN_SECONDS = 1.0
_QUICK_ENDS_BEFORE_GIVING_UP = 5
_LAST_READS = 16
_LEAST_GRACE_SECONDS = 2.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Report = Callable[[str, str], None]
"""Takes the name of a process and one line: what it wrote, or what happened to it."""


class _StopRequested(Exception):
    """Somebody pressed Ctrl-C, or asked with a signal."""


class _CannotStart(Exception):
    """A child will never run; carries the exit code of the whole."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Supervisor:
    """Runs stages of children: each stage starts when every child of the one before it is ready.

    `meanwhile` is called once, while the first stage comes up: what later stages, as copies, will share.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[ChildSpec]],
        *,
        report: Report,
        ready: Callable[[], bool] = lambda: True,
        on_ready: Callable[[], None] = lambda: None,
        meanwhile: Callable[[], None] = lambda: None,
        grace_seconds: float = 10.0,
    ) -> None:
        self.stages = [[ChildProcess(spec) for spec in stage] for stage in stages]
        self._report = report
        self._ready = ready
        self._on_ready = on_ready
        self._meanwhile: Callable[[], None] | None = meanwhile
        self._grace_seconds = grace_seconds
        self._selector = selectors.DefaultSelector()
        self._wakeup = Wakeup()
        self._stop_requests = 0
        self._stopping = False
        self._settled: set[str] = set()  # one-shot children that have done their work
        self._steady = False

    @property
    def children(self) -> list[ChildProcess]:
        """All of them, in the order of their start."""
        return [child for stage in self.stages for child in stage]

    def run(self) -> int:
        """Until it is asked to stop: 0. When a child can never start: its reason is reported, and not 0."""
        with self._signals_caught():
            try:
                for stage in self.stages:
                    self._bring_up(stage)
                self._turn_until(self._ready, turn_seconds=_READY_TURN_SECONDS)
                self._steady = True
                self._on_ready()
                self._turn_until(lambda: False, turn_seconds=_IDLE_TURN_SECONDS)
            except _StopRequested:
                return 0
            except _CannotStart as refusal:
                return refusal.code
            finally:
                self._take_down()
        return 0

    def _bring_up(self, stage: Sequence[ChildProcess]) -> None:
        for child in stage:
            self._start(child)
        if self._meanwhile is not None:
            self._meanwhile()
            self._meanwhile = None
        waiting = list(stage)

        def all_ready() -> bool:
            waiting[:] = [child for child in waiting if not self._is_ready(child)]
            return not waiting

        self._turn_until(all_ready)

    def _is_ready(self, child: ChildProcess) -> bool:
        if child.spec.one_shot:
            return child.name in self._settled
        return child.pid is not None and child.spec.ready()

    def _start(self, child: ChildProcess) -> None:
        child.start()
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _turn_until(self, done: Callable[[], bool], *, turn_seconds: float = _TURN_SECONDS) -> None:
        ask_at = 0.0  # output ends a turn early; it is no reason to ask again
        while time.monotonic() < ask_at or not done():
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + turn_seconds
            self._turn(turn_seconds)
            if self._stop_requests:
                raise _StopRequested

    def _turn(self, seconds: float) -> None:
        """Wait for output, an end or a signal, and deal with it."""
        restarts = [child.restart_at for child in self.children if child.restart_at is not None]
        if restarts:
            seconds = max(0.0, min(seconds, min(restarts) - time.monotonic()))
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, ChildProcess):
                self._forward(key.data)
            else:
                self._wakeup.drain()
        for child in self.children:
            self._tend(child)

    def _forward(self, child: ChildProcess) -> None:
        lines, ended = child.read_lines()
        for line in lines:
            if line:
                self._report(child.name, line)
        if ended:
            self._selector.unregister(child.output)

    def _tend(self, child: ChildProcess) -> None:
        code = child.end_code()
        if code is not None:
            self._collect(child)
            if not self._stopping:
                self._ended(child, code)
        elif child.restart_at is not None and time.monotonic() >= child.restart_at:
            self._start(child)

    def _collect(self, child: ChildProcess) -> None:
        for _ in range(_LAST_READS):  # what it still had to say; one that left its session may hold the pipe open
            if child.output in self._selector.get_map():
                self._forward(child)
        if child.output in self._selector.get_map():
            self._selector.unregister(child.output)
        child.collected()

    def _ended(self, child: ChildProcess, code: int) -> None:
        if child.spec.one_shot and code == 0:
            self._settled.add(child.name)
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if code == SETTINGS_EXIT_CODE or child.spec.one_shot or self._hopeless(child):
            reason = child.recent[-1] if child.recent else "it gave no reason"
            self._report("up", f"{child.name} cannot start ({how}): {reason}")
            raise _CannotStart(SETTINGS_EXIT_CODE if code == SETTINGS_EXIT_CODE else 1)
        delay = child.plan_restart()
        self._report("up", f"{child.name} {how}; starting it again in {delay:g} s")

    def _hopeless(self, child: ChildProcess) -> bool:
        """It has never worked in this run: once the stack was ready, a child is tried again for ever."""
        return not self._steady and child.quick_ends >= _QUICK_ENDS_BEFORE_GIVING_UP

    def _take_down(self) -> None:
        """Last stage first: ask, wait, kill. A second request to stop kills at once."""
        self._stopping = True
        deadline = time.monotonic() + self._grace_seconds
        asked_before = self._stop_requests
        for stage in reversed(self.stages):
            for child in reversed(stage):
                child.ask_to_stop()
            deadline = max(deadline, time.monotonic() + _LEAST_GRACE_SECONDS)
            while any(child.pid for child in stage):
                if time.monotonic() > deadline or self._stop_requests > max(1, asked_before):
                    self._kill(stage)
                self._turn(_TURN_SECONDS)
        self._selector.close()
        self._wakeup.close()

    def _kill(self, stage: Sequence[ChildProcess]) -> None:
        for child in stage:
            if child.pid:
                child.kill()

    @contextmanager
    def _signals_caught(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stop_requests += 1

        def child_ended(_number: int, _frame: FrameType | None) -> None: ...

        handlers = {**dict.fromkeys(_STOP_SIGNALS, stop), signal.SIGCHLD: child_ended}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._selector.register(self._wakeup.reader, selectors.EVENT_READ)
        try:
            with self._wakeup.by_signals():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
