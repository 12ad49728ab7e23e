"""Upkeep on a database that is not ready for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from app.settings import environment_of_child


def test_reindex_without_tables_says_what_to_run(tmp_path: Path) -> None:
    environment = environment_of_child({"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"})
    reindex = [sys.executable, "-m", "app.cli", "reindex"]
    ended = subprocess.run(reindex, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("the tables are at base, not at ")
    assert "alexandria db upgrade" in ended.stderr
