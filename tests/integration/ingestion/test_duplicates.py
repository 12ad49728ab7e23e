"""Whose duplicate a resource is, while the others change, come and go."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.errors import NotFound
from app.models.resource import Resource
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


def test_who_comes_second_waits_and_is_told_whose_duplicate_it_is(library: Library) -> None:
    fields = {"title": "A", "content": f"The same text {uuid4()}"}
    answered = threading.Event()
    answers: list[dict[str, Any]] = []

    def come_second() -> None:
        with library.work() as unit:
            answers.append(resources.create(library, fields, unit=unit))
        answered.set()

    with library.work() as unit:
        first = resources.create(library, fields, unit=unit)
        second = threading.Thread(target=come_second)
        second.start()
        assert not answered.wait(0.3), "two create the same text beside each other"
    second.join(30)

    assert (first["duplicate_of"], answers[0]["duplicate_of"]) == (None, first["id"])
    assert original_of(library, answers[0]["id"]) == str(first["id"])


def test_of_many_that_come_at_once_one_is_the_original(library: Library) -> None:
    """By each of the ways a text comes in: created, edited, read."""
    text = f"The same text {uuid4()}"
    edited = [create(library, f"Another text {uuid4()}") for _ in range(3)]
    upload = partial(ingestion_requests.request_upload, library, media_type="text/plain")
    read = [upload(f"{text}{' ' * number}".encode(), file_name="a.txt").resource_id for number in range(3)]
    ways = [
        *(partial(create, library, text) for _ in range(3)),
        *(partial(resources.update, library, one, {"content": text}) for one in edited),
        *(partial(ingestion.ingest, library, one, work=library.work) for one in read),
    ]
    start = threading.Barrier(len(ways), timeout=30)

    def go(way: partial[Any]) -> None:
        start.wait()
        way()

    with ThreadPoolExecutor(len(ways)) as pool:
        list(pool.map(go, ways))

    assert len(grouped(library, text)) == len(ways)


def test_a_group_is_right_after_any_coming_and_going_at_once(library: Library) -> None:
    texts = [f"Text {number} {uuid4()}" for number in range(2)]
    some = [create(library, random.choice(texts)) for _ in range(6)]

    def come_and_go(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(8):
            one, text = chosen.choice(some), chosen.choice(texts)
            try:
                act = chosen.choice(("create", "edit", "edit", "delete"))
                if act == "create":
                    create(library, text)
                elif act == "edit":
                    resources.update(library, one, {"content": text})
                elif len(some) > 3:
                    resources.delete(library, one)
            except NotFound:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))

    for text in texts:
        grouped(library, text)


def grouped(library: Library, text: str) -> list[UUID]:
    """All live resources with this text, the oldest first; they agree on that."""
    same = select(Resource).where(Resource.deleted_at.is_(None)).order_by(Resource.created_at, Resource.id)
    with library.database.reader() as session:
        found = [row for row in session.scalars(same) if row.content == text]
    assert [row.duplicate_of for row in found] == [None, *(found[0].id for _ in found[1:])][: len(found)]
    return [row.id for row in found]
