"""The commands that talk to a running library, as people and scripts use them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command_line
from tests.e2e.embedded_stack import EmbeddedStack, embedded_stack

pytestmark = pytest.mark.e2e

PAGE = """<!doctype html><html lang="en"><head><title>{title}</title></head>
<body><article><h1>{title}</h1><p>{text}</p></article></body></html>"""
TEXT = "The archivist catalogued {subject} for many years and wrote down what each of them had to say. " * 8


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    directory = tmp_path_factory.mktemp("command-line")
    with embedded_stack(directory / "data", log=directory / "up.log") as running:
        yield running


def alexandria(stack: EmbeddedStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, which finds the library by its data directory alone."""
    return command_line.alexandria(*arguments, environment={"DATA_DIR": str(stack.data_dir)})


def write_pages(directory: Path, *subjects: str) -> None:
    for subject in subjects:
        file = directory / "deep" / "deeper" / f"{subject}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PAGE.format(title=f"On {subject}", text=TEXT.format(subject=subject)))


def test_a_directory_is_ingested_whole_and_what_fails_says_why_without_stopping_the_rest(
    stack: EmbeddedStack, tmp_path: Path
) -> None:
    write_pages(tmp_path, "astrolabes", "barometers", "chronometers")
    (tmp_path / "notes.md").write_text(f"# Sextants\n\n{TEXT.format(subject='sextants')}")
    (tmp_path / "copy.txt").write_text(f"{TEXT.format(subject='quadrants')}")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no document")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")  # not supported: not part of the directory

    done = alexandria(stack, "ingest", str(tmp_path), "--json")

    report = json.loads(done.stdout)
    by_name = {Path(item["source"]).name: item for item in report["items"]}
    assert done.returncode == 1
    assert {name for name, item in by_name.items() if item["state"] == "completed"} == {
        *("astrolabes.html", "barometers.html", "chronometers.html", "notes.md", "copy.txt"),
    }
    assert {name for name, item in by_name.items() if item["state"] == "failed"} == {"broken.pdf", "empty.txt"}
    assert all(by_name[name]["reason"] for name in ("broken.pdf", "empty.txt"))
    assert (report["counts"]["completed"], report["counts"]["failed"]) == (5, 2)
    assert "picture.png" not in by_name


def test_the_second_time_everything_is_known_and_the_exit_code_is_0(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "gnomons")
    assert alexandria(stack, "ingest", str(tmp_path)).returncode == 0

    again = alexandria(stack, "ingest", str(tmp_path))

    assert again.returncode == 0
    assert again.stdout == "1 documents: 1 already known\n"


def test_the_same_text_in_another_file_is_named_a_duplicate(stack: EmbeddedStack, tmp_path: Path) -> None:
    text = TEXT.format(subject="orreries")
    (tmp_path / "one.txt").write_text(text)
    assert alexandria(stack, "ingest", str(tmp_path / "one.txt")).returncode == 0
    (tmp_path / "two.txt").write_text(text + "\n\n")

    done = alexandria(stack, "ingest", str(tmp_path / "two.txt"))

    assert (done.returncode, done.stdout) == (0, "1 documents: 1 duplicate\n")


def test_progress_is_plain_lines_where_there_is_no_terminal(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "planispheres")

    done = alexandria(stack, "ingest", str(tmp_path))

    assert done.stderr.splitlines()[-1] == "uploaded 1, processed 1, failed 0 of 1"
    assert "\x1b" not in done.stdout + done.stderr


def test_without_waiting_it_ends_when_everything_is_sent(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "tellurions")

    done = alexandria(stack, "ingest", "--no-wait", str(tmp_path))

    assert (done.returncode, done.stdout) == (0, "1 documents: 1 sent\n")


def test_a_url_that_may_not_be_fetched_and_a_file_that_is_not_there_have_their_reasons(stack: EmbeddedStack) -> None:
    done = alexandria(stack, "ingest", "http://169.254.169.254/latest/", "/nowhere/at/all.txt")

    assert done.returncode == 2
    assert "failed  /nowhere/at/all.txt: no such file or directory" in done.stdout
    assert "failed  http://169.254.169.254/latest/: " in done.stdout
    assert "Traceback" not in done.stderr


def test_search_shows_what_matched(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "heliographs")
    alexandria(stack, "ingest", str(tmp_path))

    shown = alexandria(stack, "search", "heliographs", "--mode", "keyword")
    as_json = alexandria(stack, "search", "heliographs", "--mode", "keyword", "--limit", "1", "--json")

    assert "On heliographs" in shown.stdout
    assert "<mark>" not in shown.stdout
    found = json.loads(as_json.stdout)
    assert [item["title"] for item in found["items"]] == ["On heliographs"]


def test_upkeep_commands_print_tables_and_json(stack: EmbeddedStack) -> None:
    consistency = alexandria(stack, "consistency", "--json")
    broker = alexandria(stack, "broker", "status", "--json")
    letters = alexandria(stack, "dead-letters", "list", "--json")

    assert set(json.loads(consistency.stdout)["kinds"]) == {
        "search_index",
        "embedding",
        "quality",
        "authors",
        "classification",
        "citations",
    }
    assert json.loads(broker.stdout)["transport"] == "redis"
    assert json.loads(letters.stdout)["items"] == []
    assert "search_index" in alexandria(stack, "consistency").stdout
    assert "ml_tasks" in alexandria(stack, "broker", "status").stdout
    assert alexandria(stack, "dead-letters", "list").stdout.startswith("no dead letters")


def test_an_unknown_dead_letter_is_one_line(stack: EmbeddedStack) -> None:
    done = alexandria(stack, "dead-letters", "show", "0199d3a0-0000-7000-8000-000000000000")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_reindex_makes_every_document_stale_and_the_workers_build_it_anew(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "anemometers")
    alexandria(stack, "ingest", str(tmp_path))

    done = alexandria(stack, "reindex", "--kind", "quality")

    assert done.returncode == 0
    count = int(done.stdout.split()[0])
    assert count >= 1
    assert done.stdout == f"{count} documents will have their quality built anew\n"


def test_a_batch_is_waited_for_and_says_what_became_of_each_document(stack: EmbeddedStack, tmp_path: Path) -> None:
    write_pages(tmp_path, "hygrometers", "pyrometers")
    report = json.loads(alexandria(stack, "ingest", str(tmp_path), "--json").stdout)
    ids = [item["resource_id"] for item in report["items"]]
    unknown = "0199d3a0-0000-7000-8000-000000000000"

    rescored = alexandria(stack, "batch", "start", "rescore", *ids, "--wait")
    deleted = alexandria(stack, "batch", "start", "delete", *ids, unknown, "--wait", "--json")

    assert rescored.returncode == 0, rescored.stderr
    first, second = rescored.stdout.splitlines()
    assert first.endswith(": rescore of 2 documents, completed")
    assert second.startswith("2 done, 0 failed, 0 working, 0 waiting, 0 cancelled; ")
    assert deleted.returncode == 1, "one failed"
    batch = json.loads(deleted.stdout)
    assert (batch["state"], batch["progress"]["done"]) == ("completed", 2)
    assert [item["resource_id"] for item in batch["failures"]] == [unknown]
    assert batch["id"] in alexandria(stack, "batch", "list").stdout


def test_a_scheduled_task_run_by_hand_says_what_it_found(stack: EmbeddedStack) -> None:
    outliers = alexandria(stack, "run-task", "detect_quality_outliers")
    cleaned = alexandria(stack, "run-task", "cleanup_expired_cache")
    spread = alexandria(stack, "quality", "distribution")

    assert outliers.stdout.endswith(" documents have a score; at least 30 are needed to tell outliers\n")
    assert "idempotency keys" in cleaned.stdout
    assert "completeness" in spread.stdout
