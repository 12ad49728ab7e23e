"""A library exported and imported is the same library, from either database to the other."""

from __future__ import annotations

import json
import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from app.models.author import AuthorVariant
from app.models.classification import ClassificationCode
from app.models.outbox import EventRecord, TaskCall
from app.models.resource import PendingUpload, Resource
from app.services import archives, authors, resources
from app.services.library import Library
from tests.integration.archives.conftest import as_lines, create, exported, imported, records
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


def was_written(library: Library) -> list[int]:
    """Events and calls."""
    with library.database.reader() as session:
        return [session.scalar(select(func.count()).select_from(table)) or 0 for table in (EventRecord, TaskCall)]


def variants(library: Library) -> set[tuple[str, UUID, str]]:
    with library.database.reader() as session:
        return {(row.key, row.author_id, row.reason) for row in session.scalars(select(AuthorVariant))}


def test_what_is_imported_is_exported_the_same(full: Library, other: Library) -> None:
    lines = exported(full)
    header = json.loads(lines[0])
    count = sum(header["counts"].values())
    assert (header["counts"]["resource"], header["counts"]["interaction"]) == (10, 4)
    assert header["counts"]["author_decision"] >= 3
    with other.database.reader() as session:
        first_codes = session.scalar(select(func.count()).select_from(ClassificationCode)) or 0
    assert header["counts"]["classification_code"] == first_codes + 2

    report = imported(other, lines)
    assert report.failures == []
    assert report.outcomes == {"unchanged": first_codes - 1, "updated": 1, "created": count - first_codes}
    assert exported(other) == lines
    with other.database.reader() as session:
        ids = list(session.scalars(select(Resource.id)))
        twins = set(session.scalars(select(Resource.duplicate_of)))
        events = [row.name for row in session.scalars(select(EventRecord))]
        waiting = session.scalars(select(PendingUpload.data)).all()
    for one in ids:
        authors.normalise(other, one, work=other.work)

    assert variants(other) == variants(full)
    assert len(twins - {None}) == 1
    assert events.count("resource.created") == 8  # what was never read has no text to derive anything from
    assert (events.count("ingestion.requested"), waiting) == (1, [b"Nobody has read this.\xff"])
    before = was_written(other)
    assert imported(other, lines).outcomes == {"unchanged": count}
    assert was_written(other) == before


@pytest.mark.parametrize("seed", [1, 2])
def test_an_import_that_is_cut_off_is_taken_up_again(full: Library, other: Library, seed: int) -> None:
    lines = exported(full)
    chance = random.Random(seed)
    first_codes = range(5, len(lines) - 20)
    for _ in range(3):
        cut = chance.choice([number for number in range(1, len(lines)) if number not in first_codes])
        imported(other, [*lines[:cut], lines[cut][: chance.randrange(1, len(lines[cut]) - 1)]])
    imported(other, lines)

    assert exported(other) == lines


def test_a_broken_line_is_named_and_the_others_are_taken(full: Library, other: Library) -> None:
    lines = exported(full)
    before, record = records(lines, "resource")[-2:]
    with_text = next(said for said in records(lines, "resource") if said["content"])
    broken = {
        "not JSON": b"{",
        "no JSON object": b"[]",
        "'tea' is no kind of record": b'{"record": "tea"}',
        "Field required": b'{"record": "resource"}',
        "content_sha256": json.dumps({**record, "content": "Another text."}).encode(),
        "NUL": json.dumps({**record, "title": "a\x00b"}).encode(),
        "should have timezone": json.dumps({**record, "created_at": "2026-01-01T00:00:00"}).encode(),
        "at most 16": json.dumps({**record, "read_status": "x" * 17}).encode(),
        "no library has such": json.dumps({**record, "read_status": "zzz"}).encode(),
        "such a document": json.dumps({**record, "ingestion_status": "running"}).encode(),
        "it is beyond": json.dumps({**record, "version": 2**31 - 1}).encode(),
        "it is 0, and there is a content": json.dumps({**with_text, "content_version": 0}).encode(),
        "Extra inputs": json.dumps({**record, "deleted_at": None}).encode(),
        "format 9": b'{"record": "library", "format": 9, "counts": {}}',
    }
    report = imported(other, [lines[0], *(line + b"\n" for line in broken.values()), *lines[1:]])
    assert [failure.line for failure in report.failures] == list(range(2, 2 + len(broken)))
    for failure, expected in zip(report.failures, broken, strict=True):
        assert expected in failure.detail
    assert exported(other) == lines
    taken = {**before, "id": str(uuid4()), "ingest_key": "k"}
    clash = {**record, "id": str(uuid4()), "ingest_key": "k"}
    again = imported(other, as_lines(taken, clash))
    assert [(failure.line, failure.detail[:11]) for failure in again.failures] == [(2, "ingest_key:")]


def test_a_check_writes_nothing(full: Library, other: Library) -> None:
    lines, before = exported(full), exported(other)
    report = archives.import_lines(other, b"".join([*lines, b"{"]), is_only_checked=True)

    assert [failure.line for failure in report.failures] == [len(lines) + 1]
    assert exported(other) == before


def test_what_changed_since_the_export_stays_and_what_was_deleted_comes_back(full: Library) -> None:
    lines = exported(full)
    ids = [UUID(json.loads(line)["id"]) for line in lines if b'"record":"resource"' in line]
    resources.update(full, ids[0], {"title": "Newer"})
    resources.delete(full, ids[1])

    report = imported(full, lines)

    assert report.failures == []
    assert (report.outcomes["kept"], report.outcomes["created"]) == (1, 1)
    with full.database.reader() as session:
        assert resources.find(session, ids[0]).title == "Newer"
        back = resources.find(session, ids[1])
    before = next(json.loads(line) for line in lines if str(ids[1]).encode() in line)
    assert back.version > before["version"]
    assert back.title == before["title"]


def test_an_older_version_is_brought_up_to_that_of_the_export(full: Library) -> None:
    older = exported(full)
    record = records(older, "resource")[-1]
    resource_id = UUID(record["id"])
    newer = {**record, "version": record["version"] + 3, "title": "From the other library"}

    assert imported(full, as_lines(newer)).outcomes == {"updated": 1}
    with full.database.reader() as session:
        found = resources.find(session, resource_id)
        assert (found.title, found.version) == ("From the other library", record["version"] + 3)
        assert found.metadata_version == record["metadata_version"] + 1


def test_an_export_waits_for_whoever_takes_its_lines(migrated_postgres_url: str, cache_url: str) -> None:
    """Longer than a transaction may stand still in which rows are held."""
    hurried = {"db_idle_in_transaction_seconds": 1, "database_url": migrated_postgres_url}
    with a_library(**hurried, cache_url=cache_url) as library:
        create(library, title="Owls")
        lines = archives.export(library)
        first = next(lines)
        with library.database.glance() as session:
            session.execute(select(func.pg_sleep(2)))
        rest = list(lines)

    assert len(rest) == sum(json.loads(first)["counts"].values())
