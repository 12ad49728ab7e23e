"""`/batches` and `/quality/…` over HTTP, on each database."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.models.batch import Batch
from app.models.outbox import TaskCall
from app.services import batch_chunks, batch_tending
from app.services.library import Library
from tests.integration.api.answers import assert_problem, create


def started(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/batches", json=body)
    assert answer.status_code == 202, answer.text
    batch: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/batches/{batch['id']}"
    return batch


def test_a_batch_over_a_filter_is_read_listed_and_cancelled(client: TestClient, library: Library) -> None:
    wanted = [create(client, content="text", creator="Batch Author")["id"] for _ in range(2)]
    create(client, content="text", creator="Another")

    batch = started(client, operation="rescore", filter={"creator": "Batch Author"})
    assert (batch["state"], batch["filter"], batch["total"]) == ("freezing", {"creator": "Batch Author"}, 0)
    batch_tending.freeze_slice(library, UUID(batch["id"]))
    batch_chunks.begin_item(library, UUID(batch["id"]), 0)

    shown = client.get(f"/batches/{batch['id']}").json()
    assert (shown["state"], shown["total"]) == ("running", 2)
    assert {name: shown["progress"][name] for name in ("waiting", "working", "done")} == {
        "waiting": 1,
        "working": 1,
        "done": 0,
    }
    items = client.get(f"/batches/{batch['id']}/items").json()["items"]
    assert {item["resource_id"] for item in items} == set(wanted)
    assert client.get("/batches", params={"limit": 1}).json()["items"][0]["id"] == batch["id"]

    for _ in range(2):
        cancelled = client.post(f"/batches/{batch['id']}/cancel")
        assert cancelled.status_code == 200
        assert (cancelled.json()["state"], cancelled.json()["progress"]["cancelled"]) == ("cancelled", 1)


def test_a_completed_batch_is_not_cancelled(client: TestClient, library: Library) -> None:
    batch = started(client, operation="delete", filter={"creator": "nobody at all"})
    batch_tending.tend(library, UUID(batch["id"]), work=library.work)

    assert client.get(f"/batches/{batch['id']}").json()["state"] == "completed"
    assert_problem(client.post(f"/batches/{batch['id']}/cancel"), 409, "batch-ended")


def test_the_same_key_makes_one_batch(client: TestClient, library: Library) -> None:
    body = {"operation": "reindex", "ids": [create(client)["id"]]}
    headers = {"Idempotency-Key": uuid4().hex}
    with library.database.reader() as session:
        before = session.scalar(select(func.count()).select_from(Batch))

    answers = [client.post("/batches", json=body, headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    with library.database.reader() as session:
        assert session.scalar(select(func.count()).select_from(Batch)) == (before or 0) + 1


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "delete"},
        {"operation": "delete", "filter": {}},
        {"operation": "delete", "ids": []},
        {"operation": "delete", "filter": {"language": None}},
        {"operation": "delete", "everything": False},
        {"operation": "delete", "everything": True, "filter": {"language": "en"}},
        {"operation": "delete", "ids": ["no id"]},
        {"operation": "delete", "ids": [str(uuid4()) for _ in range(1001)]},
        {"operation": "delete", "filter": {"colour": "red"}},
        {"operation": "delete", "filter": {"language": "e\x00n"}},
        {"operation": "publish", "everything": True},
    ],
)
def test_what_says_not_to_what_is_refused_and_leaves_nothing(
    client: TestClient, library: Library, body: dict[str, Any]
) -> None:
    def rows() -> list[int | None]:
        with library.database.reader() as session:
            return [session.scalar(select(func.count()).select_from(table)) for table in (Batch, TaskCall)]

    before = rows()

    assert_problem(client.post("/batches", json=body), 422, "invalid-input")

    assert rows() == before


def test_unknown_batches_are_not_found(client: TestClient) -> None:
    unknown = uuid4()
    assert_problem(client.get(f"/batches/{unknown}"), 404, "not-found")
    assert_problem(client.get(f"/batches/{unknown}/items"), 404, "not-found")
    assert_problem(client.post(f"/batches/{unknown}/cancel"), 404, "not-found")


def test_quality_over_time_says_what_it_goes_by(client: TestClient) -> None:
    assert client.get("/quality/degradation").json().items() >= {"drop": 0.2, "days": 30, "items": []}.items()
    assert client.get("/quality/outliers").json()["needed"] == 30
    assert set(client.get("/quality/distribution").json()["dimensions"]) >= {"accuracy", "overall"}
    assert_problem(client.get("/quality/outliers", params={"cursor": "x"}), 422, "invalid-input")
    assert_problem(client.get("/quality/distribution", params={"colour": "red"}), 422, "invalid-input")
    created = create(client, content="text")
    assert client.get(f"/resources/{created['id']}/quality/history").json() == {"items": [], "next_cursor": None}
