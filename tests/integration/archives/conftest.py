"""A library that has all of what is exported, and an empty one on the other database."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.knowledge.category_tree import Category
from app.services import (
    archives,
    author_decisions,
    author_groups,
    authors,
    category_codes,
    ingestion,
    ingestion_requests,
    interactions,
    resources,
)
from app.services.library import Library
from tests.documents import python_doc_pages
from tests.integration.libraries import a_library

PAGE_THAT_CITES = b"""<html><head><title>On zebras</title></head><body><p>As <a href="https://doi.org/10.1234/zebra.7">Lee</a>
has shown, and <a href="https://zebras.example/stripes">others</a> deny, zebras have stripes.</p>
</body></html>"""


def exported(library: Library) -> list[bytes]:
    """All lines."""
    return list(archives.export(library))


def imported(library: Library, lines: Iterable[bytes]) -> archives.ImportReport:
    """What became of them."""
    return archives.import_lines(library, b"".join(lines))


def records(lines: Iterable[bytes], kind: str) -> list[dict[str, Any]]:
    """Those of a kind."""
    return [said for said in map(json.loads, lines) if said["record"] == kind]


def as_lines(*said: dict[str, Any]) -> list[bytes]:
    """Records as they are sent."""
    return [json.dumps(one).encode() + b"\n" for one in said]


def create(library: Library, **fields: Any) -> UUID:
    """A document."""
    with library.work() as unit:
        return UUID(str(resources.create(library, {"content": "The same text.\r\n", **fields}, unit=unit)["id"]))


def upload(library: Library, data: bytes, file_name: str, *, media_type: str | None = None) -> UUID:
    """A document that is read."""
    receipt = ingestion_requests.request_upload(library, data, media_type=media_type, file_name=file_name)
    ingestion.ingest(library, receipt.resource_id, work=library.work)
    return receipt.resource_id


def act(library: Library, user_id: str, resource_id: UUID, type_: str = "view", rating: int | None = None) -> None:
    """A user does something."""
    with library.work() as unit:
        fields = {"user_id": user_id, "resource_id": resource_id, "type": type_, "rating": rating}
        interactions.track(fields, unit=unit)


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def other(library: Library, request: pytest.FixtureRequest, tmp_path: Path, cache_url: str) -> Iterator[Library]:
    """Empty, on the other database."""
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    if library.database.is_sqlite:
        url = request.getfixturevalue("migrated_postgres_url")
    else:
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "other.sqlite3")
    with a_library(database_url=url, cache_url=cache_url) as other:
        yield other


@pytest.fixture
def small(library: Library) -> Library:
    """With a page that cites a document, codes that people changed and made, and users who did something."""
    citing = upload(library, PAGE_THAT_CITES, "zebras.html")
    cited = create(library, title="Stripes", content="Zebras have stripes.", doi="10.1234/zebra.7")
    gone = create(library, title="Gone", content="Nobody will know.")
    for user_id, resource_id in (("ann", citing), ("ann", gone), ("bob", citing), ("ann", cited)):
        act(library, user_id, resource_id)
    act(library, "bob", cited, "rating", 5)
    resources.delete(library, gone)
    _classify(library, cited)
    return library


@pytest.fixture
def full(small: Library) -> Library:
    """`small`, with documents that were read, edited, deleted, doubled, refused and not read yet; and decisions."""
    library = small
    for page in random.Random(5).sample(python_doc_pages(), 3):
        upload(library, page.read_bytes(), page.name, media_type="text/html")
    upload(library, b"%PDF-1.4", "torn.pdf")
    ingestion_requests.request_upload(library, b"Nobody has read this.\xff", media_type=None, file_name="late.txt")
    title = "\u2028 Zwölf \U0001f98a"
    ids = [create(library, title=title, authors=names) for names in (["Ann Lee", "Bob Ray"], ["A. Lee", "Bob Ray"])]
    ids += [create(library, title=title, authors=["Ann Lee"]) for _ in range(2)]
    for one in ids:
        authors.normalise(library, one, work=library.work)
    resources.update(library, ids[0], {"rights": "free", "date_created": None, "subject": ["a", "b"]})
    ann, initial = author_groups.id_of("lee|ann|"), author_groups.id_of("lee|a|")
    author_decisions.split(library, ann, variant_ids=[initial], resource_ids=[ids[2]])
    author_decisions.merge(library, author_groups.id_of("ray|bob|"), [initial])
    resources.delete(library, ids[3])
    authors.normalise(library, ids[3], work=library.work)
    return library


def _classify(library: Library, resource_id: UUID) -> None:
    """A first code is changed; of two new ones the one below is in force for a document, and first by its name."""
    known = Category(code="520", parent="500", label="Stars", description="stars, planets")
    category_codes.change(library, known)
    category_codes.create(library, Category(code="Z9", parent=None, label="Zebras", description="stripes"))
    category_codes.create(library, Category(code="A1", parent="Z9", label="Stripes of zebras"))
    resources.update(library, resource_id, {"classification_code": "A1"})
