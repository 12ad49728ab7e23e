"""Where the API of a data directory answers, and who runs on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import StartRefused
from app.supervision.run_state import (
    LOCK_FILE,
    RUN_FILE,
    forget_address,
    only_supervisor,
    read_address,
    read_settings,
    write_address,
)


def test_what_was_announced_is_read_and_then_forgotten(tmp_path: Path) -> None:
    with only_supervisor(tmp_path) as announce:
        announce("http://127.0.0.1:4321", {"BROKER_URL": "redis://127.0.0.1:1"})
        assert read_address(tmp_path) == "http://127.0.0.1:4321"

    assert read_address(tmp_path) is None


def test_the_address_another_process_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / RUN_FILE).write_text('{"pid": 1, "address": "http://127.0.0.1:1"}')

    forget_address(tmp_path)

    assert read_address(tmp_path) == "http://127.0.0.1:1"


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_file_says_nothing(tmp_path: Path, damaged: str) -> None:
    (tmp_path / RUN_FILE).write_text(damaged)

    assert read_address(tmp_path) is None


def test_a_stale_lock_file_does_not_refuse(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text('{"pid": 1, "address": "http://127.0.0.1:1", "of": "a process long gone"}')

    with only_supervisor(tmp_path) as announce:
        announce("http://127.0.0.1:2", {})
        assert (tmp_path / LOCK_FILE).read_text().endswith('"http://127.0.0.1:2"}')


def test_two_cannot_hold_one_directory(tmp_path: Path) -> None:
    with only_supervisor(tmp_path), pytest.raises(StartRefused, match="already running"), only_supervisor(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StartRefused, match="cannot write to"), only_supervisor(tmp_path / "file" / "data"):
        pass


def test_the_address_file_is_replaced_whole(tmp_path: Path) -> None:
    write_address(tmp_path, "http://127.0.0.1:1")
    write_address(tmp_path, "http://127.0.0.1:2")

    assert [file.name for file in tmp_path.iterdir()] == [RUN_FILE]


def test_other_commands_learn_the_private_servers_of_the_stack_and_nobody_else_does(tmp_path: Path) -> None:
    with only_supervisor(tmp_path) as announce:
        announce("http://127.0.0.1:2", {"BROKER_URL": "redis://:secret@127.0.0.1:3/0"})

        assert read_settings(tmp_path) == {"BROKER_URL": "redis://:secret@127.0.0.1:3/0"}
        assert (tmp_path / RUN_FILE).stat().st_mode & 0o077 == 0
    assert read_settings(tmp_path) == {}
