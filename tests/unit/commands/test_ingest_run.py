"""What a run of `ingest` takes up."""

from __future__ import annotations

import os
from pathlib import Path

from app.commands.ingest_run import State, items_of


def test_a_directory_gives_its_supported_files_at_any_depth_in_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    names = ("z.pdf", "a.HTML", "b/page.htm", "b/c/x.xhtml", "b/c/readme.md", "b/notes.markdown", "b/plain.txt")
    for name in (*names, "picture.png", "archive.zip", "b/no_extension", "b/c/table.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.txt").mkdir()

    items = items_of([str(tmp_path)])

    assert [item.label for item in items] == [str(tmp_path / name) for name in sorted(names)]


def test_a_file_named_on_the_command_line_is_sent_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "no_extension").write_text("x")

    (item,) = items_of([str(tmp_path / "no_extension")])

    assert (item.file, item.state) == (tmp_path / "no_extension", State.UNSENT)


def test_a_url_is_no_file() -> None:
    (item,) = items_of(["HTTPS://example.org/a.html"])

    assert (item.file, item.label) == (None, "HTTPS://example.org/a.html")


def test_what_is_not_there_has_failed_before_it_began() -> None:
    (item,) = items_of(["/nowhere/at/all"])

    assert (item.state, item.reason) == (State.FAILED, "no such file or directory")


def test_a_pipe_has_failed_before_anyone_waits_for_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")

    (item,) = items_of([str(tmp_path / "pipe.txt")])

    assert item.state is State.FAILED
    assert item.reason is not None
    assert "pipe" in item.reason
