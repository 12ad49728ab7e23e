"""Interactions are numbered in the order of their commits, call for the profile, and can be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, select

from app.events.execution import StartedCall
from app.main import create_app
from app.models.base import new_id, now
from app.models.interaction import Interaction
from app.models.outbox import EventRecord, TaskCall
from app.services import interactions, profiles
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from tests.integration.api.answers import assert_problem
from tests.integration.recommendations.conftest import Readers

pytestmark = pytest.mark.integration

SECOND = timedelta(seconds=1)


@pytest.fixture
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def bees(readers: Readers) -> UUID:
    return readers.document("Bees make honey.")


def test_an_interaction_is_noted_once_for_each_key_and_listed_newest_first(client: TestClient, bees: UUID) -> None:
    body = {"user_id": "ada", "resource_id": str(bees), "type": "view"}
    answers = [client.post("/interactions", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    rated = client.post("/interactions", json={**body, "type": "rating", "rating": 4, "at": "2999-01-01T00:00:00Z"})

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    first = client.get("/interactions", params={"user_id": "ada", "limit": 1}).json()
    second = client.get("/interactions", params={"user_id": "ada", "cursor": first["next_cursor"]}).json()
    assert first["items"] == [rated.json()]
    assert second == {"items": [answers[0].json()], "total": 2, "next_cursor": None}
    assert [first["items"][0]["number"], second["items"][0]["number"]] == [2, 1]
    assert rated.json()["at"] < "2999"  # nothing is done in a time to come


def test_what_cannot_be_is_refused_and_counts_nothing(client: TestClient, bees: UUID) -> None:
    good = {"user_id": "ada", "resource_id": str(bees), "type": "view"}
    wrong: list[dict[str, Any]] = [
        {"rating": 3},
        {"type": "rating"},
        {"type": "rating", "rating": 6},
        {"type": "like"},
        {"user_id": "*"},
    ]

    for change in wrong:
        assert_problem(client.post("/interactions", json={**good, **change}), 422, "invalid-input")
    assert_problem(client.post("/interactions", json={**good, "resource_id": str(new_id())}), 404, "not-found")
    first = client.post("/interactions", json=good).json()
    client.post("/interactions", json=good)
    cursor = client.get("/interactions", params={"user_id": "ada", "limit": 1}).json()["next_cursor"]
    of_another = client.get("/interactions", params={"user_id": "bob", "cursor": cursor})

    assert first["number"] == 1
    assert_problem(of_another, 422, "invalid-input")


def test_many_at_once_have_each_number_once(readers: Readers, bees: UUID) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: readers.act(bees), range(12)))

    assert sorted(numbers) == list(range(1, 13))
    assert len(readers.calls()) == 1


def test_nine_wait_and_the_tenth_is_put_off_by_no_eleventh(readers: Readers, bees: UUID) -> None:
    for _ in range(9):
        readers.act(bees)
    [waiting] = readers.calls()
    assert timedelta(seconds=295) < waiting.due_at - now() <= timedelta(seconds=300)
    assert waiting.subject_version == 9

    readers.act(bees, user="bob")
    readers.act(bees)
    [of_ada, of_bob] = sorted(readers.calls(), key=lambda call: call.due_at)
    assert of_ada.id == waiting.id
    assert of_ada.due_at <= now() + SECOND
    assert of_bob.due_at > now() + 100 * SECOND

    readers.act(bees)
    [still, _] = sorted(readers.calls(), key=lambda call: call.due_at)
    assert (still.id, still.subject_version) == (waiting.id, 11)
    assert still.due_at <= now() + SECOND


def test_a_document_that_was_looked_at_has_not_changed(library: Library, readers: Readers, bees: UUID) -> None:
    with library.database.writer() as session:
        session.execute(delete(TaskCall))
    key = f"quality:{bees}"
    library.cache.set(key, "kept")

    readers.act(bees)

    assert library.cache.get(key) == "kept"
    assert [call.task for call in readers.calls()] == [TaskName.REFRESH_RECOMMENDATION_PROFILE]
    with library.database.reader() as session:
        assert session.scalar(select(func.count()).select_from(TaskCall)) == 1


def test_a_user_who_is_forgotten_leaves_nothing_and_others_everything(
    library: Library, readers: Readers, client: TestClient, bees: UUID
) -> None:
    for user in ("ada", "bob"):
        readers.act(bees, user=user)
        readers.refresh(user)
        client.get("/recommendations", params={"user_id": user})

    answers = [client.delete("/users/ada/interactions").status_code for _ in range(2)]

    assert answers == [204, 204]
    assert client.get("/profile", params={"user_id": "ada"}).json()["state"] == "none"
    assert client.get("/profile", params={"user_id": "bob"}).json()["state"] == "fresh"
    assert library.cache.get("recommendations:ada") is None
    assert library.cache.get("recommendations:bob") is not None
    with library.database.reader() as session:
        told = [event.data["user_id"] for event in session.scalars(select(EventRecord)) if event.name[:5] == "user."]
        assert set(session.scalars(select(Interaction.user_id))) == {"bob"}
    assert set(told) == {"bob"}
    assert [call.args for call in readers.calls()] == [["bob"]]
    assert readers.act(bees) == 1


def test_a_profile_that_is_built_while_its_user_is_forgotten_is_forgotten_too(
    library: Library, readers: Readers, bees: UUID
) -> None:
    class Late(Library):
        """Another process builds the profile just before the rows are locked."""

        def work(self, *, call: StartedCall | None = None) -> AbstractContextManager[UnitOfWork]:
            profiles.refresh(library, "ada", work=library.work)
            return super().work(call=call)

    readers.act(bees, user="ada")
    late = Late(**{field.name: getattr(library, field.name) for field in fields(library)})

    interactions.forget(late, "ada")

    with library.database.reader() as session:
        assert [one.name for one in session.scalars(select(EventRecord)) if one.data.get("user_id") == "ada"] == []


def test_forgetting_takes_more_than_one_slice_of_events(library: Library, readers: Readers, bees: UUID) -> None:
    with library.database.writer() as session:
        session.add_all(
            Interaction(id=new_id(), user_id="eve", number=number, resource_id=bees, type="view", at=now())
            for number in range(1, 1202)
        )

    assert interactions.forget(library, "eve") == 1201
