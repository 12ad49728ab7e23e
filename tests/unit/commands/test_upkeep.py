"""Upkeep on a database that is not ready for it."""

from __future__ import annotations

from pathlib import Path

from tests.command_line import alexandria


def test_reindex_without_tables_says_what_to_run(tmp_path: Path) -> None:
    ended = alexandria("reindex", environment={"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}"})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("the tables are at base, not at ")
    assert "alexandria db upgrade" in ended.stderr
