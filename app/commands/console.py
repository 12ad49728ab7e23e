"""What `alexandria up` shows: the lines of its processes, each with its role, and how to begin."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime

from rich.console import Console
from rich.panel import Panel

from app.settings import Settings
from app.supervision.stack import Stack

_NAME_WIDTH = 9
_SAY_EVERY_SECONDS = 10.0
_COLOURS = {"api": 36, "relay": 35, "worker": 32, "ml-worker": 33, "beat": 34, "broker": 31, "cache": 31, "up": 1}


class StackConsole:
    """Writes to stdout; a reader that goes away stops the words, never the stack."""

    def __init__(self, settings: Settings, stack: Stack) -> None:
        self._settings = settings
        self._stack = stack
        self._json = settings.log_format == "json"
        self._colours = sys.stdout.isatty()
        self._began = datetime.now(UTC)
        self._say_at = time.monotonic() + _SAY_EVERY_SECONDS

    def line(self, name: str, text: str) -> None:
        """One line of one process. JSON lines carry their role already and are passed on as they are."""
        if self._json:
            self._write(text if text.startswith("{") else self._as_json(name, text))
            return
        prefix = f"{name:{_NAME_WIDTH}} |"
        if self._colours:
            prefix = f"\x1b[{_COLOURS.get(name, 0)}m{prefix}\x1b[0m"
        self._write(f"{prefix} {text}")

    def ready(self) -> bool:
        """Whether the stack works; says now and then what it still waits for."""
        missing = self._stack.missing()
        if missing and time.monotonic() >= self._say_at:
            self.line("up", f"not ready yet: {missing}")
            self._say_at = time.monotonic() + _SAY_EVERY_SECONDS
        return not missing

    def welcome(self) -> None:
        """The stack works: where it is and what to do with it."""
        address, seconds = self._stack.address, (datetime.now(UTC) - self._began).total_seconds()
        if self._json:
            self._write(self._as_json("up", f"ready at {address} after {seconds:.1f} s"))
            return
        command = "alexandria" if shutil.which("alexandria") else sys.argv[0]
        text = "\n".join(
            [
                f"address   {address}",
                f"data      {self._settings.data_dir.resolve()}",
                f"broker    {self._stack.broker}",
                "",
                f"{command} ingest PATH_OR_URL…    put documents in",
                f'{command} search "some words"    find them',
                f"{'Ctrl-C':<{len(command) + 23}} stop everything",
            ]
        )
        console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        with suppress(OSError):
            console.print(Panel(text, title=f"Neo Alexandria is ready ({seconds:.1f} s)", expand=False))
            sys.stdout.flush()

    def _as_json(self, name: str, text: str) -> str:
        return json.dumps({"event": text, "role": name, "timestamp": datetime.now(UTC).isoformat()})

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        except OSError:  # the pipe or terminal is gone
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
