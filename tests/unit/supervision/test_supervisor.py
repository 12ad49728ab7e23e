"""Children in order, started again when they end, and stopped in reverse order."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from app.supervision.child_process import ChildSpec
from app.supervision.supervisor import Supervisor
from chaos.polling import poll_until

FOREVER = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done"


def child(name: str, script: str, *, one_shot: bool = False, ready: Callable[[], bool] = lambda: True) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=("/bin/sh", "-c", script),
        environment={"PATH": os.defpath},
        one_shot=one_shot,
        ready=ready,
    )


class Transcript:
    """What was reported, and the order to stop once the stack is ready (or once `until` is true)."""

    def __init__(self, until: Callable[[], bool] = lambda: True) -> None:
        self.lines: list[tuple[str, str]] = []
        self.was_ready = False
        self.stopped = False
        self._until = until

    def report(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._stop_when_told()

    def ready(self) -> None:
        self.was_ready = True
        self._stop_when_told()

    def _stop_when_told(self) -> None:
        if self.was_ready and not self.stopped and self._until():
            self.stopped = True
            self.stop()

    def says(self, name: str, line: str) -> bool:
        return (name, line) in self.lines

    def position(self, name: str, line: str) -> int:
        return self.lines.index((name, line))

    @staticmethod
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def run(stages: Sequence[Sequence[ChildSpec]], said: Transcript, *, grace_seconds: float = 5.0) -> int:
    supervisor = Supervisor(stages, report=said.report, on_ready=said.ready, grace_seconds=grace_seconds)
    code = supervisor.run()
    assert [one.pid for one in supervisor.children] == [None] * len(supervisor.children)
    return code


def test_a_stage_starts_when_the_one_before_is_ready_and_stops_before_it(tmp_path: Path) -> None:
    migrated = tmp_path / "migrated"
    said = Transcript(lambda: said.says("api", "hello"))
    stages = [
        [child("broker", FOREVER), child("db", f"sleep 0.2; touch {shlex.quote(str(migrated))}", one_shot=True)],
        [child("api", f"test -e {shlex.quote(str(migrated))} && {FOREVER}")],
    ]

    assert run(stages, said) == 0

    assert said.position("broker", "hello") < said.position("api", "hello")
    assert said.position("api", "bye") < said.position("broker", "bye")


def test_a_child_that_ends_is_started_again_and_it_says_so(tmp_path: Path) -> None:
    once = tmp_path / "once"
    said = Transcript(lambda: said.says("relay", "hello"))
    script = f"test -e {once} && {{ {FOREVER}; }}; touch {once}; kill -9 $$"

    assert run([[child("relay", script)]], said) == 0

    assert ("up", "relay was ended by SIGKILL; starting it again in 0.25 s") in said.lines


def test_a_child_with_wrong_settings_stops_everything_with_its_reason() -> None:
    said = Transcript(lambda: False)

    code = run([[child("broker", FOREVER)], [child("api", "echo 'API_PORT: not a number' >&2; exit 2")]], said)

    assert code == 2
    assert ("up", "api cannot start (ended with exit code 2): API_PORT: not a number") in said.lines
    assert said.says("broker", "bye")


def test_failed_migrations_stop_everything_with_their_reason() -> None:
    said = Transcript()

    code = run([[child("db", "echo no such revision; exit 1", one_shot=True)], [child("api", FOREVER)]], said)

    assert code == 1
    assert ("up", "db cannot start (ended with exit code 1): no such revision") in said.lines
    assert not said.says("api", "hello")


def test_a_child_that_never_worked_is_given_up_after_some_tries() -> None:
    said = Transcript()

    code = run([[child("broker", "echo cannot bind; exit 1", ready=lambda: False)]], said)

    assert code == 1
    assert said.lines.count(("broker", "cannot bind")) == 5
    assert ("up", "broker cannot start (ended with exit code 1): cannot bind") in said.lines


def test_a_child_that_does_not_stop_is_killed_after_the_grace_time() -> None:
    said = Transcript(lambda: said.says("worker", "busy"))
    began = time.monotonic()

    assert run([[child("worker", "trap '' TERM; echo busy; while :; do sleep 0.05; done")]], said, grace_seconds=0) == 0

    assert time.monotonic() - began < 5


def test_a_second_request_to_stop_does_not_wait_for_the_grace_time() -> None:
    def stop_at_each_line(_name: str, _line: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    worker = child("worker", "trap 'echo not yet' TERM; echo busy; while :; do sleep 0.05; done")
    began = time.monotonic()

    assert Supervisor([[worker]], report=stop_at_each_line, grace_seconds=60).run() == 0

    assert time.monotonic() - began < 20


def test_what_a_dead_child_had_started_is_gone_too() -> None:
    said = Transcript(lambda: False)

    def stop_after_the_first_end(name: str, line: str) -> None:
        said.lines.append((name, line))
        if name == "up":
            said.stop()

    worker = child("worker", "sleep 300 & echo $!; kill -9 $$", ready=lambda: False)
    Supervisor([[worker]], report=stop_after_the_first_end).run()

    grandchild = int(said.lines[0][1])
    poll_until(lambda: is_gone(grandchild), within_seconds=5, what="the grandchild is gone")


def test_the_last_line_is_reported_even_without_its_end() -> None:
    said = Transcript(lambda: False)

    run([[child("db", "printf 'half a line'; exit 1", one_shot=True)]], said)

    assert said.says("db", "half a line")


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
