"""Which state of the project a result is about."""

from __future__ import annotations

import subprocess
from typing import TypedDict

from chaos.stack import ROOT

UNKNOWN = "unknown"


class SourceState(TypedDict):
    """`commit`: 40 hexadecimal digits, or "unknown" where git does not tell (no repository, another owner).
    `clean`: nothing that was asked about differs from it.
    """

    commit: str
    clean: bool


def source_state(*paths: str) -> SourceState:
    """`paths`: git's pathspecs of what must be as committed for `clean`."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", *paths)
    return {"commit": commit or UNKNOWN, "clean": changes == ""}


def _git(*arguments: str) -> str | None:
    """None: git refused."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
