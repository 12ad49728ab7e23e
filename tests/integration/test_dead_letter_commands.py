"""`alexandria dead-letters`: for people and for scripts, against a served library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from app.main import create_app
from app.models.outbox import LetterOrigin
from app.services.library import Library
from tests.command_line import alexandria
from tests.integration.api.dead_calls import dead_letter
from tests.integration.api.serving import served
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def library(tmp_path: Path, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=f"sqlite:///{tmp_path / 'library.sqlite3'}", cache_url=cache_url) as library:
        yield library


@pytest.fixture
def command(library: Library) -> Iterator[Command]:
    """`alexandria dead-letters …`, which finds this library."""
    with served(create_app(library)) as address:
        yield partial(_run, address)


def _run(address: str, action: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return alexandria("dead-letters", action, *arguments, "--api", address)


def test_none_is_said_in_a_sentence(command: Command) -> None:
    assert command("list").stdout == "no dead letters: everything that was asked for was done\n"
    assert command("list", "--queue", "batch").stdout == "no dead letters match\n"
    assert (command("replay", "--all").stdout, command("replay", "--all").returncode) == ("no dead letters match\n", 0)
    assert json.loads(command("list", "--json").stdout)["items"] == []


def test_they_are_listed_and_shown_for_people_and_for_scripts(command: Command, library: Library) -> None:
    first = dead_letter(library, reason="delivery_limit", traceback="Traceback: all of it")
    second = dead_letter(library, queue="batch", payload=b"bytes \xff", origin=LetterOrigin.MESSAGE)

    table = command("list").stdout
    filtered = json.loads(command("list", "--queue", "batch", "--json").stdout)
    shown = command("show", str(first)).stdout
    as_json = json.loads(command("show", str(second), "--json").stdout)

    assert "delivery_limit" in table
    assert "permanent_error" in table
    assert [item["id"] for item in filtered["items"]] == [str(second)]
    assert "invalid-input: never" in shown
    assert "Traceback: all of it" in shown
    assert as_json["payload"]["size_bytes"] == 7


def test_one_is_replayed_once_and_says_so_the_second_time(command: Command, library: Library) -> None:
    letter_id = str(dead_letter(library))

    first, second = command("replay", letter_id, "--json"), command("replay", letter_id, "--json")

    assert (first.returncode, second.returncode) == (0, 0)
    assert [json.loads(done.stdout)["items"][0]["changed"] for done in (first, second)] == [True, False]


def test_many_are_not_touched_without_a_yes(command: Command, library: Library) -> None:
    for _ in range(3):
        dead_letter(library)

    asked = command("replay", "--all")
    agreed = command("replay", "--queue", "default", "--yes")

    assert (asked.returncode, asked.stderr) == (2, "alexandria: replay 3 dead letters? Say --yes\n")
    assert (agreed.returncode, agreed.stdout) == (0, "3 replayed\n")


def test_what_cannot_be_replayed_is_told_with_its_reason_beside_what_was(command: Command, library: Library) -> None:
    strange = str(dead_letter(library, task="make_tea", origin=LetterOrigin.MESSAGE))
    dead_letter(library)

    some, none = command("replay", "--all", "--yes"), command("replay", strange)

    assert (some.returncode, none.returncode) == (1, 2)
    told = f"refused  {strange}: this message cannot be replayed: no task is called make_tea"
    assert some.stdout.splitlines() == [told, "1 replayed"]
    assert none.stdout.splitlines() == [told, "nothing was done"]


def test_a_discarded_one_keeps_its_note(command: Command, library: Library) -> None:
    letter_id = str(dead_letter(library))
    dead_letter(library, queue="batch")

    done = command("discard", letter_id, "--note", "the page is gone")
    rest = command("discard", "--queue", "batch", "--note", "test data")

    assert (done.returncode, done.stdout, rest.stdout) == (0, "1 discarded\n", "1 discarded\n")
    assert "the page is gone" in command("show", letter_id).stdout
    assert json.loads(command("list", "--json").stdout)["items"] == []


def test_what_is_meant_must_be_said_and_exist(command: Command, library: Library) -> None:
    letter_id = str(dead_letter(library))

    for arguments in ((), (letter_id, "--all"), ("--all", "--queue", "default")):
        refused = command("replay", *arguments)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    unknown = command("show", str(uuid4()))
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)
    wrong = command("list", "--since", "yesterday")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (1, 1)
    assert json.loads(command("show", letter_id, "--json").stdout)["closed_at"] is None
