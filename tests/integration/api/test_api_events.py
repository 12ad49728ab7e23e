from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.services.library import Library
from tests.integration.api.answers import assert_problem, create
from tests.integration.api.conftest import MakeLibrary
from tests.integration.api.serving import served


@pytest.fixture
def library(make_library: MakeLibrary) -> Library:
    return make_library(event_streams_max=1)


@pytest.fixture
def address(library: Library) -> Iterator[str]:
    with served(create_app(library)) as address:
        yield address


def events_in(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    """Parsed as the specification of server-sent events has it."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if not line and event:
            yield event
            event = {}
        elif name in {"id", "event", "data"}:
            event[name] = json.loads(value) if name == "data" else value


def test_history_is_the_newest_events_in_their_order(library: Library) -> None:
    client = TestClient(create_app(library), base_url="http://localhost")
    created = create(client)
    client.put(f"/resources/{created['id']}", json={"title": "New"})
    history = client.get("/events/history").json()
    assert [event["name"] for event in history] == [
        "resource.created",
        "resource.updated",
        "resource.metadata_changed",
    ]
    assert history[0]["data"]["resource_id"] == created["id"]
    assert history[0]["priority"] == 50
    assert [event["name"] for event in client.get("/events/history?limit=1").json()] == ["resource.metadata_changed"]


def test_a_stream_tells_what_happens_from_now_on(library: Library, address: str) -> None:
    client = TestClient(create_app(library), base_url="http://localhost")
    create(client)
    with httpx2.stream("GET", f"{address}/events/stream", timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        created = create(client)
        event = next(events_in(response))
    assert event["event"] == "resource.created"
    assert event["data"]["data"]["resource_id"] == created["id"]
    assert event["id"] == event["data"]["id"]


def test_a_stream_goes_on_after_the_last_event_that_was_seen(library: Library, address: str) -> None:
    client = TestClient(create_app(library), base_url="http://localhost")
    ids = [create(client)["id"] for _ in range(3)]
    first = client.get("/events/history").json()[0]["id"]
    headers = {"Last-Event-ID": first}
    with httpx2.stream("GET", f"{address}/events/stream", headers=headers, timeout=20) as response:
        stream = events_in(response)
        seen = [next(stream)["data"]["data"]["resource_id"] for _ in range(2)]
    assert seen == ids[1:]


def test_there_are_only_so_many_streams(library: Library, address: str) -> None:
    del library
    with httpx2.stream("GET", f"{address}/events/stream", timeout=20):
        assert_problem(httpx2.get(f"{address}/events/stream"), 429, "rate-limited")


def test_an_open_stream_does_not_hold_up_the_end_of_the_process(library: Library) -> None:
    with served(create_app(library)) as address:
        connection = httpx2.Client(timeout=20)
        request = connection.build_request("GET", f"{address}/events/stream")
        response = connection.send(request, stream=True)
        assert response.status_code == 200
    # The server has ended although nobody closed this end.
    assert list(events_in(response)) == []
    connection.close()
