"""The shapes that clients, scripts and the chaos checker rely on (architecture, §6)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.models.outbox import CallState, TaskCall
from app.models.resource import Resource
from app.services import search_indexing
from app.services.library import Library
from tests.integration.api.answers import create

PROBLEM_CONTENT = {"application/problem+json"}
KINDS = {"search_index", "embedding", "quality", "authors", "classification", "citations"}


def has(answer: dict[str, Any], *names: str) -> None:
    assert set(names) <= set(answer), set(names) - set(answer)


def test_ingest(client: TestClient) -> None:
    accepted = client.post("/ingest", json={"url": "https://example.org/contract"}).json()
    has(accepted, "resource_id", "call_id", "status_url", "created")


def test_resource(client: TestClient) -> None:
    created = create(client, content="text")
    answer = client.get(f"/resources/{created['id']}")
    has(answer.json(), "id", "version", "title", "content", "creator", "subject", "source", "language")
    has(answer.json(), "ingestion_status")
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert answer.json()["created_at"].endswith("Z")


def test_resource_list(client: TestClient) -> None:
    create(client)
    has(client.get("/resources").json(), "items", "total", "next_cursor")


def test_resource_status(client: TestClient) -> None:
    created = create(client, content="text", authors=["Ada Lovelace"])
    status = client.get(f"/resources/{created['id']}/status").json()
    assert status["ingestion"]["state"] == "completed"
    assert status["ingestion"]["error"] is None
    assert set(status["derived"]) == KINDS
    for derived in status["derived"].values():
        has(derived, "state", "built_from", "attempts", "error", "next_due_at")
        assert derived["state"] == "stale"
        assert derived["next_due_at"] is not None


def test_quality(client: TestClient) -> None:
    created = create(client, content="text")
    quality = client.get(f"/resources/{created['id']}/quality").json()
    has(quality, "accuracy", "completeness", "consistency", "timeliness", "relevance", "overall", "state")
    assert quality["state"] == "stale"


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_search(client: TestClient, library: Library, mode: str) -> None:
    created = create(client, title="Contract", content="An unmistakable contractword here")
    search_indexing.update(library, UUID(created["id"]), work=library.work)
    hits = client.get("/search", params={"query": "contractword", "mode": mode}).json()
    assert created["id"] in [hit["id"] for hit in hits]
    has(hits[0], "id", "title", "score", "snippet")
    assert any("<mark>contractword</mark>" in hit["snippet"] for hit in hits)
    body = client.post("/search", json={"text": "contractword", "mode": mode, "filters": {}, "limit": 5}).json()
    has(body, "total", "items", "facets", "did_you_mean")


def test_consistency(client: TestClient) -> None:
    answer = client.get("/consistency").json()
    has(answer, "converged", "open_calls", "dead_letters", "stale_profiles", "stale_citation_targets", "kinds")
    assert set(answer["kinds"]) == KINDS
    for kind in answer["kinds"].values():
        assert set(kind) == {"fresh", "stale", "failed", "oldest_stale_seconds"}


@pytest.mark.parametrize("state", list(CallState))
def test_task(client: TestClient, library: Library, state: CallState) -> None:
    created = create(client)
    with library.database.writer() as session:
        call = session.scalars(select(TaskCall).where(TaskCall.subject == UUID(created["id"]))).first()
        assert call is not None
        call.state, call.last_error = state, {"type": "x", "detail": "y"}
    task = client.get(f"/tasks/{call.id}").json()
    has(task, "id", "task", "queue", "priority", "state", "attempts", "error")
    assert task["state"] in {"waiting", "sent", "running", "done", "dead"}


def test_recommendations(client: TestClient) -> None:
    created = create(client, content="text")
    body = {"user_id": "contract", "resource_id": created["id"], "type": "view"}
    has(client.post("/interactions", json=body).json(), "id", "number", "user_id", "resource_id", "type", "at")
    has(client.get("/interactions", params={"user_id": "contract"}).json(), "items", "total", "next_cursor")
    has(client.get("/profile", params={"user_id": "contract"}).json(), "state", "total_interactions", "built_from")
    answer = client.get("/recommendations", params={"user_id": "contract"}).json()
    has(answer, "user_id", "cold_start", "items")
    for item in answer["items"]:
        has(item, "id", "title", "score", "parts", "reason")


def test_dead_letters(client: TestClient) -> None:
    has(client.get("/dead-letters").json(), "items", "next_cursor")


def test_readyz(client: TestClient) -> None:
    answer = client.get("/readyz").json()
    has(answer, "ready", "degraded", "parts")
    assert set(answer["parts"]) == {"database", "migrations", "broker", "cache", "relay", "workers"}
    for part in answer["parts"].values():
        has(part, "ok", "detail")
    has(answer["parts"]["workers"], "canary_age_seconds")


def test_broker_status(client: TestClient) -> None:
    answer = client.get("/broker/status").json()
    assert answer["transport"] in {"redis", "rabbitmq"}
    for queue in answer["queues"].values():
        has(queue, "ready", "unacked", "dead", "oldest_seconds")


def test_the_seeds_operational_fields(client: TestClient) -> None:
    has(client.get("/cache/stats").json(), "hit_rate", "hits", "misses", "invalidations")
    has(client.get("/workers/status").json(), "active", "scheduled", "stats")
    has(client.get("/db/pool").json(), "size", "checked_in", "checked_out", "overflow", "total")
    assert isinstance(client.get("/events/history").json(), list)


def test_a_failed_ingestion_shows_its_reason(client: TestClient, library: Library) -> None:
    accepted = client.post("/ingest", json={"url": "https://example.org/failing"}).json()
    error = {"type": "document-encrypted", "detail": "needs a password"}
    with library.database.writer() as session:
        resource = session.get(Resource, UUID(accepted["resource_id"]))
        assert resource is not None
        resource.ingestion_status, resource.ingestion_error = "failed", error  # type: ignore[assignment]  # as rows hold it
    assert client.get(accepted["status_url"]).json()["ingestion"]["error"] == error


def test_every_operation_is_documented_whole(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    known = {tag["name"] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = f"{method} {path}"
            has(operation, "summary", "operationId", "tags", "description")
            assert set(operation["tags"]) <= known, place
            errors = {status: one for status, one in operation["responses"].items() if status >= "4"}
            for status, response in errors.items():
                is_problem = set(response["content"]) == PROBLEM_CONTENT
                assert is_problem or (path, status) == ("/readyz", "503"), place
            if "requestBody" in operation:
                assert {"400", "413", "415", "422"} <= set(errors), place


def test_the_inputs_have_examples_that_are_accepted(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert client.post("/resources", json=schemas["ResourceCreate"]["examples"][0]).status_code == 201
    assert client.post("/search", json=schemas["SearchRequest"]["examples"][0]).status_code == 200
    created = create(client)
    interaction = schemas["InteractionCreate"]["examples"][0] | {"resource_id": created["id"]}
    assert client.post("/interactions", json=interaction).status_code == 201
    body = schemas["ResourceUpdate"]["examples"][0]
    assert client.put(f"/resources/{created['id']}", json=body).status_code == 200
