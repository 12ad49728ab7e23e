"""The embedded default: one command, killed and stopped, and nothing lost or left behind."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import psutil
import pytest

from chaos.polling import poll_until
from tests.e2e.embedded_stack import EmbeddedStack, alive, embedded_stack, start

pytestmark = pytest.mark.e2e

LIGHTHOUSE = "The keeper climbed the spiral stairs at dusk and lit the great lamp, so that ships would not strand. " * 5
BREAD = "Knead the dough, let it rise overnight in the cold, and bake it on a hot stone until the crust sings. " * 5


def found(stack: EmbeddedStack, words: str, *, mode: str, resource: str) -> None:
    poll_until(
        lambda: resource in stack.finds(words, mode=mode)[:1],
        within_seconds=60,
        what=f"{words} finds the document by {mode}",
        every_seconds=0.2,
    )


def test_documents_and_queued_work_survive_the_kill_of_the_supervisor_which_leaves_no_orphan(tmp_path: Path) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "up.log"
    with embedded_stack(data_dir, log=log) as stack:
        lighthouse = stack.upload("lighthouse.txt", LIGHTHOUSE)
        found(stack, "spiral stairs", mode="keyword", resource=lighthouse)
        found(stack, "guiding vessels safely at night", mode="semantic", resource=lighthouse)
        assert who_has_loaded(stack, "onnxruntime") == {"api", "ml-worker"}
        everyone = stack.everyone()
        bread = stack.upload("bread.txt", BREAD)  # accepted, and not yet worked on

        stack.process.kill()
        poll_until(lambda: not any(map(alive, everyone)), within_seconds=5, what="no orphan")

    with embedded_stack(data_dir, log=log) as stack:
        found(stack, "spiral stairs", mode="keyword", resource=lighthouse)
        found(stack, "guiding vessels safely at night", mode="semantic", resource=lighthouse)
        found(stack, "hot stone", mode="keyword", resource=bread)
        found(stack, "recipe for a loaf", mode="semantic", resource=bread)


def test_ctrl_c_stops_everything_cleanly_and_a_second_start_is_refused_before(tmp_path: Path) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "up.log"
    with embedded_stack(data_dir, log=log) as stack:
        everyone = stack.everyone()
        second_log = tmp_path / "second.log"
        second = start(data_dir, log=second_log)
        assert second.wait(timeout=30) == 1
        address = str(stack.client.base_url).rstrip("/")
        assert second_log.read_text() == (
            f"alexandria: already running: process {stack.process.pid} at {address} uses {data_dir}\n"
        )
        assert stack.works()

        assert stack.stop(signal.SIGINT) == 0

        assert not any(map(alive, everyone))
        assert "Traceback" not in log.read_text()
        assert not (data_dir / "run.json").exists()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    log = tmp_path / "up.log"
    with socket.create_server(("127.0.0.1", 0)) as another:
        port = another.getsockname()[1]
        assert start(tmp_path / "data", "--port", str(port), log=log).wait(timeout=30) == 1
    assert log.read_text() == (
        f"alexandria: port {port} on 127.0.0.1 is taken by another program: "
        "choose one with --port or API_PORT (0: any)\n"
    )


def test_a_killed_child_is_started_again_and_no_secret_is_on_a_command_line(tmp_path: Path) -> None:
    with embedded_stack(tmp_path / "data", log=tmp_path / "up.log") as stack:
        settings = [(stack.data_dir / name / "server.conf").read_text() for name in ("broker", "cache")]
        passwords = {found for text in settings for found in re.findall(r"^requirepass (\S+)$", text, re.MULTILINE)}
        command_lines = " ".join(word for one in stack.everyone() for word in one.cmdline())
        assert len(passwords) == 2
        assert not any(password in command_lines for password in passwords)

        for name in ("api", "relay", "worker"):
            kill_and_wait_for_the_next(stack, name)
            poll_until(stack.works, within_seconds=60, what=f"{name} works again", every_seconds=0.2)


def who_has_loaded(stack: EmbeddedStack, library: str) -> set[str]:
    """The children of the stack that have this library in memory, or have children of their own that do."""
    found = set()
    for child in psutil.Process(stack.process.pid).children():
        for one in (child, *child.children(recursive=True)):
            if library in Path(f"/proc/{one.pid}/maps").read_text():
                found.add(child.name())
    return found


def kill_and_wait_for_the_next(stack: EmbeddedStack, name: str) -> None:
    killed = stack.child(name)
    assert killed is not None
    killed.kill()
    poll_until(lambda: stack.child(name) not in {killed, None}, within_seconds=10, what=f"a new {name}")
