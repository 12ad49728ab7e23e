"""`alexandria …` and other modules of the project as commands: what they print and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos import warm_start

ROOT = Path(__file__).resolve().parents[1]


def alexandria(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command of the product; `environment` is added to that of this process."""
    return run_module("app.cli", *arguments, environment={**os.environ, **(environment or {})})


def run_module(
    name: str, *arguments: str, environment: Mapping[str, str], within_seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`python -m …` as a copy of the warm process, with nobody at its input.

    Raises `subprocess.TimeoutExpired` when it does not end in time, and ends it.
    """
    command = [sys.executable, "-m", name, *arguments]
    warm = warm_start.parent_for(command, environment=environment, directory=ROOT)
    with TemporaryDirectory(prefix="command-") as directory:
        printed, complained = Path(directory, "stdout"), Path(directory, "stderr")
        if warm is None:
            with printed.open("wb") as output, complained.open("wb") as errors:
                process: subprocess.Popen[bytes] | warm_start.Adopted = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment, cwd=ROOT
                )
        else:
            order = warm_start.Order(
                owner=os.getpid(),
                command=command,
                environment=dict(environment),
                directory=str(ROOT),
                log=str(printed),
                errors=str(complained),
                death_signal=signal.SIGKILL.name.removeprefix("SIG"),
            )
            process = warm.start(order)
        try:
            code = process.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=within_seconds)
            raise
        return subprocess.CompletedProcess(command, code, printed.read_text(), complained.read_text())
