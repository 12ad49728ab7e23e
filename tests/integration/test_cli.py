"""Commands without a running library: help, mistakes, and the tables."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from app.cli import alexandria as command_line
from app.commands.scheduled import Scheduled
from chaos.ports import free_port
from tests.command_line import alexandria

pytestmark = pytest.mark.integration

HELP_CPU_SECONDS = 0.5
MISSING_ENGINE = {"EMBEDDING_ENGINE": "sentence-transformers"}
MISSING_ENGINE_SAID = "alexandria: EMBEDDING_ENGINE: sentence-transformers needs the extra of that name ("


def commands(group: typer.Typer, *before: str) -> Iterator[tuple[tuple[str, ...], str]]:
    for command in group.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__.replace("_", "-")
        yield (*before, name), command.callback.__doc__ or ""
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, *before, inner.name or "")


@pytest.mark.parametrize(("path", "help_text"), list(commands(command_line)), ids=lambda value: " ".join(value)[:20])
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...], help_text: str) -> None:
    assert f"Example:  alexandria {' '.join(path)}" in help_text


def test_a_batch_that_says_not_to_what_does_nothing_and_exits_with_2(tmp_path: Path) -> None:
    done = alexandria("batch", "start", "delete", environment={"DATA_DIR": str(tmp_path)})

    assert done.returncode == 2
    assert done.stderr == "alexandria: name documents, or filter, or say --all: exactly one of these\n"


@pytest.fixture
def at_the_tables(migrated_file: Path, tmp_path: Path) -> dict[str, str]:
    """An environment whose library is new."""
    copy = shutil.copy(migrated_file, tmp_path / "library.sqlite3")
    return {"DATABASE_URL": f"sqlite:///{copy}", "DATA_DIR": str(tmp_path)}


@pytest.mark.parametrize("task", list(Scheduled))
def test_what_a_scheduled_task_found_is_json_and_nothing_but_json(task: str, at_the_tables: dict[str, str]) -> None:
    done = alexandria("run-task", task, "--json", environment=at_the_tables)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == task


def test_a_repair_that_finds_nothing_says_so(at_the_tables: dict[str, str]) -> None:
    said = alexandria("consistency", "--repair", environment=at_the_tables)
    listed = alexandria("consistency", "--repair", "--json", environment=at_the_tables)

    assert (said.returncode, said.stdout) == (0, "nothing is stale that has no call already\n")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, {"called_for": {}})


def test_help_loads_no_library() -> None:
    help_of_alexandria = [sys.executable, "-m", "app.cli", "--help"]
    subprocess.run(help_of_alexandria, capture_output=True, timeout=60, check=True)  # writes the compiled files
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run(help_of_alexandria, capture_output=True, text=True, timeout=60, check=True)

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "alexandria up" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_CPU_SECONDS


def test_a_setting_that_cannot_be_right_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = alexandria("up", environment={"BROKER_URL": "kafka://x", "DATA_DIR": str(tmp_path)})

    assert done.returncode == 2
    assert (
        done.stderr
        == "alexandria: BROKER_URL: takes a URL that begins with redis://, rediss://, sentinel://, amqp://, amqps://\n"
    )


@pytest.mark.parametrize("command", [("up",), ("api",), ("worker",), ("worker", "--queues", "ml_tasks")])
def test_an_engine_that_is_not_installed_is_one_line_and_exit_code_2(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = alexandria(*command, environment={**MISSING_ENGINE, "DATA_DIR": str(tmp_path)})

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(MISSING_ENGINE_SAID)
    assert done.stdout == ""


@pytest.mark.parametrize("queues", [(), ("-Q", "ml_tasks")])
def test_celery_s_own_command_says_the_same_of_an_engine_that_is_not_installed(
    tmp_path: Path, queues: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "app.tasks.celery_app", "worker", *queues],
        env={**os.environ, **MISSING_ENGINE, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(MISSING_ENGINE_SAID)  # after what Celery tells a user root


def broken_file(directory: Path) -> dict[str, str]:
    (directory / "broken.sqlite3").write_bytes(b"no database at all. " * 1000)
    return {"DATABASE_URL": f"sqlite:///{directory / 'broken.sqlite3'}"}


def newer_tables(directory: Path) -> dict[str, str]:
    with sqlite3.connect(directory / "newer.sqlite3") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    return {"DATABASE_URL": f"sqlite:///{directory / 'newer.sqlite3'}"}


def refusing_server(_: Path) -> dict[str, str]:
    return {"DATABASE_URL": f"postgresql://user:secret@127.0.0.1:{free_port()}/library"}


def file_as_directory(directory: Path) -> dict[str, str]:
    (directory / "file").write_text("x")
    return {"DATA_DIR": str(directory / "file")}


@pytest.mark.parametrize(
    ("environment", "command", "says"),
    [
        (broken_file, "upgrade", "DATABASE_URL: this is no SQLite database, or a damaged one: "),
        (broken_file, "current", "DATABASE_URL: this is no SQLite database, or a damaged one: "),
        (newer_tables, "upgrade", "DATABASE_URL: the tables are at 9999, which this version "),
        (refusing_server, "current", "DATABASE_URL: the database does not answer: "),
        (refusing_server, "upgrade", "DATABASE_URL: the database does not answer: "),
        (file_as_directory, "upgrade", "DATA_DIR: cannot write to "),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_that_names_its_setting(
    tmp_path: Path, environment: Callable[[Path], dict[str, str]], command: str, says: str
) -> None:
    done = alexandria("db", command, environment={"DATA_DIR": str(tmp_path), **environment(tmp_path)})

    assert done.returncode in {1, 75}
    assert done.stderr.startswith(f"alexandria: {says}")
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


def test_a_data_directory_that_is_a_file_is_one_line_of_up(tmp_path: Path) -> None:
    done = alexandria("up", environment=file_as_directory(tmp_path))

    assert done.returncode == 1
    assert done.stderr == f"alexandria: DATA_DIR: cannot write to {tmp_path / 'file'}: File exists\n"


@pytest.mark.parametrize("command", [("consistency",), ("search", "words"), ("broker", "status")])
def test_a_library_that_does_not_run_is_one_line_that_says_what_to_do(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = alexandria(*command, environment={"DATA_DIR": str(tmp_path), "API_PORT": "1"})

    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("alexandria: nothing answers at http://127.0.0.1:1 ")
    assert done.stderr.endswith("is `alexandria up` running?\n")
    assert len(done.stderr.splitlines()) == 1


def test_ingest_without_a_library_could_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")

    done = alexandria("ingest", str(tmp_path / "a.txt"), "--api", "http://127.0.0.1:1")

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_directory_without_documents_could_do_nothing(tmp_path: Path) -> None:
    done = alexandria("ingest", str(tmp_path), "--api", "http://127.0.0.1:1")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "alexandria: no supported document there (HTML, PDF, Markdown, plain text)\n"


def test_an_unknown_queue_is_refused_with_those_there_are() -> None:
    done = alexandria("worker", "--queues", "default,urgent")

    assert done.returncode == 1
    assert (
        done.stderr == "alexandria: --queues: no queue is called urgent; there are default, ml_tasks, ingest, batch\n"
    )


def test_the_tables_go_up_and_down_and_say_where_they_are(tmp_path: Path) -> None:
    environment = {"DATA_DIR": str(tmp_path)}

    behind = alexandria("db", "check", environment=environment)
    up = alexandria("db", "upgrade", environment=environment)
    good = alexandria("db", "check", environment=environment)
    wrong = alexandria("db", "downgrade", "nowhere", environment=environment)
    down = alexandria("db", "downgrade", "base", environment=environment)
    here = alexandria("db", "current", environment=environment)

    assert (behind.returncode, up.returncode, good.returncode) == (1, 0, 0)
    assert behind.stderr.endswith("run `alexandria db upgrade`\n")
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 1
    assert down.stdout == "the tables are at base\n"
    assert here.stdout.startswith("the tables are at base; the newest is ")


def test_version_is_printed() -> None:
    assert alexandria("version").stdout.startswith("alexandria ")


def test_keys_are_made_listed_and_revoked_on_the_command_line(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'library.sqlite3'}"}
    untouched = alexandria("api-key", "list", environment=environment)
    alexandria("db", "upgrade", environment=environment)

    key = alexandria(
        "api-key", "create", "laptop", "--scope", "read", "--scope", "write", environment=environment
    ).stdout
    twice = alexandria("api-key", "create", "laptop", "--scope", "read", environment=environment)
    listed = json.loads(alexandria("api-key", "list", "--json", environment=environment).stdout)
    revoked = alexandria("api-key", "revoke", "laptop", environment=environment)
    again = alexandria("api-key", "revoke", "laptop", environment=environment)

    assert "run `alexandria db upgrade`" in untouched.stderr
    assert key.startswith(f"{listed[0]['prefix']}_")
    assert listed[0]["scopes"] == ["read", "write"]
    assert key.split("_")[2].strip() not in json.dumps(listed)
    assert twice.stderr.startswith("alexandria: a key named laptop is in force already")
    assert revoked.stdout == "laptop is revoked\n"
    assert again.returncode == 1
    assert again.stderr == "alexandria: no key in force is called laptop\n"


def test_the_classifier_says_what_a_training_found(migrated_file: Path) -> None:
    here = {"DATABASE_URL": f"sqlite:///{migrated_file}", "EMBEDDING_ENGINE": "hashing"}

    trained = alexandria("classifier", "retrain", environment=here)
    listed = alexandria("classifier", "list", "--json", environment=here)
    shown = alexandria("classifier", "show", "7", environment=here)

    assert trained.stdout.startswith("not trained: people have decided 0 documents of 0 classes; 50 documents")
    assert json.loads(listed.stdout) == {"in_force": "zero-shot-2/0/hashing/crc32-384/1", "items": []}
    assert (shown.returncode, shown.stderr) == (1, "alexandria: there is no classification model 7\n")
