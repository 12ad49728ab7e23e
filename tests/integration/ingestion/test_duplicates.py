"""Whose duplicate a resource is, while the others change, come and go."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.services import ingestion, ingestion_requests, resources
from app.services.library import Library

pytestmark = pytest.mark.integration


def create(library: Library, content: str) -> UUID:
    with library.work() as unit:
        made: dict[str, Any] = resources.create(library, {"title": "A", "content": content}, unit=unit)
    created: UUID = made["id"]
    return created


def original_of(library: Library, resource_id: UUID) -> str | None:
    original = resources.get(library, resource_id)["duplicate_of"]
    return str(original) if original else None


def test_the_next_oldest_is_the_original_once_the_oldest_is_deleted(library: Library) -> None:
    text = f"The same text {uuid4()}"
    first, second, third = (create(library, text) for _ in range(3))
    assert [original_of(library, one) for one in (first, second, third)] == [None, str(first), str(first)]

    resources.delete(library, first)

    assert [original_of(library, one) for one in (second, third)] == [None, str(second)]


def test_an_original_that_gets_another_text_has_no_duplicates_any_more(library: Library) -> None:
    text = f"The same text {uuid4()}"
    first, second, third = (create(library, text) for _ in range(3))
    assert original_of(library, third) == str(first)

    resources.update(library, first, {"content": f"Another text {uuid4()}"})

    assert [original_of(library, one) for one in (first, second, third)] == [None, None, str(second)]


def test_two_resources_are_never_duplicates_of_each_other(library: Library) -> None:
    text = f"The same text {uuid4()}"
    older, newer = create(library, f"Another text {uuid4()}"), create(library, text)
    assert original_of(library, newer) is None

    resources.update(library, older, {"content": text})

    assert [original_of(library, one) for one in (older, newer)] == [None, str(older)]


def test_a_text_that_is_emptied_leaves_its_group(library: Library) -> None:
    text = f"The same text {uuid4()}"
    first, second, third = (create(library, text) for _ in range(3))

    resources.update(library, first, {"content": ""})
    resources.update(library, third, {"content": ""})

    assert [original_of(library, one) for one in (first, second, third)] == [None, None, None]


def test_a_document_that_is_read_is_the_duplicate_of_an_older_one(library: Library) -> None:
    text = f"The same text {uuid4()}"
    older = create(library, text)
    receipt = ingestion_requests.request_upload(library, text.encode(), media_type="text/plain", file_name="a.txt")

    ingestion.ingest(library, receipt.resource_id, work=library.work)

    assert original_of(library, receipt.resource_id) == str(older)
