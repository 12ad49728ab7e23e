"""What answers of the API look like."""

from __future__ import annotations

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response


def assert_problem(response: Response, status: int, slug: str) -> dict[str, Any]:
    """The answer is a whole problem document (RFC 9457) of this kind."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:neo-alexandria:problem:{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == response.request.url.path
    assert problem["correlation_id"] == response.headers["x-request-id"]
    return problem


def create(client: TestClient, **fields: Any) -> dict[str, Any]:
    """A resource with these fields, as the API shows it."""
    response = client.post("/resources", json={"title": "A title", **fields})
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created
