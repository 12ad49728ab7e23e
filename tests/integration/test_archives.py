"""A library exported and imported is the same library, from either database to the other."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from app.models.author import AuthorVariant
from app.models.outbox import EventRecord
from app.models.resource import PendingUpload, Resource
from app.services import archives, author_decisions, author_groups, authors, ingestion, ingestion_requests, resources
from app.services.library import Library
from tests.documents import python_doc_pages
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


@contextmanager
def other_library(library: Library, request: pytest.FixtureRequest, path: Path, cache_url: str) -> Iterator[Library]:
    """Empty, on the other database."""
    url = f"sqlite:///{path / 'other.sqlite3'}"
    if library.database.is_sqlite:
        url = request.getfixturevalue("migrated_postgres_url")
    else:
        shutil.copy(request.getfixturevalue("migrated_file"), path / "other.sqlite3")
    with a_library(database_url=url, cache_url=cache_url) as other:
        yield other


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def full(library: Library) -> Library:
    """With documents that were read, written, edited, deleted, doubled, refused and not read yet; and decisions."""
    for page in random.Random(5).sample(python_doc_pages(), 3):
        receipt = ingestion_requests.request_upload(
            library, page.read_bytes(), media_type="text/html", file_name=page.name
        )
        ingestion.ingest(library, receipt.resource_id, work=library.work)
    failed = ingestion_requests.request_upload(library, b"%PDF-1.4", media_type=None, file_name="torn.pdf")
    ingestion.ingest(library, failed.resource_id, work=library.work)
    ingestion_requests.request_upload(library, b"Nobody has read this.\xff", media_type=None, file_name="late.txt")
    ids = []
    for names in (["Ann Lee", "Bob Ray"], ["A. Lee", "Bob Ray"], ["Ann Lee"], ["Ann Lee"]):
        fields = {"title": "\u2028 Zwölf \U0001f98a", "content": "The same text.\r\n", "authors": names}
        with library.work() as unit:
            ids.append(UUID(str(resources.create(library, fields, unit=unit)["id"])))
        authors.normalise(library, ids[-1], work=library.work)
    resources.update(library, ids[0], {"rights": "free", "date_created": None, "subject": ["a", "b"]})
    ann, initial = author_groups.id_of("lee|ann|"), author_groups.id_of("lee|a|")
    author_decisions.split(library, ann, variant_ids=[initial], resource_ids=[ids[2]])
    author_decisions.merge(library, author_groups.id_of("ray|bob|"), [initial])
    resources.delete(library, ids[3])
    authors.normalise(library, ids[3], work=library.work)
    return library


def exported(library: Library) -> list[bytes]:
    return list(archives.export(library))


def imported(library: Library, lines: list[bytes]) -> archives.ImportReport:
    return archives.import_lines(library, b"".join(lines))


def variants(library: Library) -> set[tuple[str, UUID, str]]:
    with library.database.reader() as session:
        return {(row.key, row.author_id, row.reason) for row in session.scalars(select(AuthorVariant))}


def test_what_is_imported_is_exported_the_same(
    full: Library, request: pytest.FixtureRequest, tmp_path: Path, cache_url: str
) -> None:
    lines = exported(full)
    header = json.loads(lines[0])
    assert header["counts"]["resource"] == 8
    assert header["counts"]["author_decision"] >= 3

    with other_library(full, request, tmp_path, cache_url) as other:
        report = imported(other, lines)
        assert report.failures == []
        assert report.outcomes == {"created": sum(header["counts"].values())}
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
        assert events.count("resource.created") == 6  # what was never read has no text to derive anything from
        assert (events.count("ingestion.requested"), waiting) == (1, [b"Nobody has read this.\xff"])
        assert imported(other, lines).outcomes == {"unchanged": sum(header["counts"].values())}


@pytest.mark.parametrize("seed", [1, 2])
def test_an_import_that_is_cut_off_is_taken_up_again(
    full: Library, request: pytest.FixtureRequest, tmp_path: Path, cache_url: str, seed: int
) -> None:
    lines = exported(full)
    chance = random.Random(seed)
    with other_library(full, request, tmp_path, cache_url) as other:
        for _ in range(3):
            cut = chance.randrange(1, len(lines))
            imported(other, [*lines[:cut], lines[cut][: chance.randrange(1, len(lines[cut]) - 1)]])
        imported(other, lines)

        assert exported(other) == lines


def test_a_broken_line_is_named_and_the_others_are_taken(
    full: Library, request: pytest.FixtureRequest, tmp_path: Path, cache_url: str
) -> None:
    lines = exported(full)
    record = json.loads(lines[-1])
    broken = {
        "not JSON": b"{",
        "no JSON object": b"[]",
        "no kind of record": b'{"record": "tea"}',
        "Field required": b'{"record": "resource"}',
        "content_sha256": json.dumps({**record, "content": "Another text."}).encode(),
        "NUL": json.dumps({**record, "title": "a\x00b"}).encode(),
        "should have timezone": json.dumps({**record, "created_at": "2026-01-01T00:00:00"}).encode(),
        "at most 16": json.dumps({**record, "read_status": "x" * 17}).encode(),
        "Extra inputs": json.dumps({**record, "deleted_at": None}).encode(),
        "format 9": b'{"record": "library", "format": 9, "counts": {}}',
    }
    with other_library(full, request, tmp_path, cache_url) as other:
        report = imported(other, [lines[0], *(line + b"\n" for line in broken.values()), *lines[1:]])
        assert [failure.line for failure in report.failures] == list(range(2, 2 + len(broken)))
        for failure, expected in zip(report.failures, broken, strict=True):
            assert expected in failure.detail
        assert exported(other) == lines
        taken = json.dumps({**json.loads(lines[-2]), "id": record["id"][:-1] + "0", "ingest_key": "k"}).encode()
        clash = json.dumps({**json.loads(lines[-1]), "id": record["id"][:-1] + "1", "ingest_key": "k"}).encode()
        again = imported(other, [taken, b"\n", clash])
        assert [(failure.line, failure.detail[:11]) for failure in again.failures] == [(2, "ingest_key:")]


def test_a_check_writes_nothing(full: Library, request: pytest.FixtureRequest, tmp_path: Path, cache_url: str) -> None:
    lines = exported(full)
    with other_library(full, request, tmp_path, cache_url) as other:
        report = archives.import_lines(other, b"".join([*lines, b"{"]), is_only_checked=True)

        assert [failure.line for failure in report.failures] == [len(lines) + 1]
        assert len(exported(other)) == 1


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


def test_an_older_version_is_brought_up_to_that_of_the_export(full: Library, library: Library) -> None:
    older = exported(full)
    resource_id = UUID(json.loads(older[-1])["id"])
    record = json.loads(older[-1])
    newer = {**record, "version": record["version"] + 3, "title": "From the other library"}

    assert imported(library, [json.dumps(newer).encode()]).outcomes == {"updated": 1}
    with library.database.reader() as session:
        found = resources.find(session, resource_id)
        assert (found.title, found.version) == ("From the other library", record["version"] + 3)
        assert found.metadata_version == record["metadata_version"] + 1
