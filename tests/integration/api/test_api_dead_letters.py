"""`/dead-letters`: read, replayed, discarded, on each database."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from app.models.base import now
from app.models.outbox import LetterOrigin
from app.services.library import Library
from tests.integration.api.answers import assert_problem, create
from tests.integration.api.dead_calls import dead_letter

pytestmark = pytest.mark.integration


def ids(client: TestClient, **parameters: Any) -> list[UUID]:
    answer = client.get("/dead-letters", params=parameters)
    assert answer.status_code == 200, answer.text
    return [UUID(item["id"]) for item in answer.json()["items"]]


def test_a_letter_has_the_fields_of_the_contract(client: TestClient, library: Library) -> None:
    resource_id = create(client)["id"]
    letter_id = dead_letter(library, queue="ingest", priority=7, subject=UUID(resource_id))

    [item] = client.get("/dead-letters", params={"resource_id": resource_id}).json()["items"]

    assert item["id"] == str(letter_id)
    assert (item["task"], item["args"], item["queue"], item["priority"]) == ("canary_task", ["default"], "ingest", 7)
    assert (item["reason"], item["attempts"], item["resource_id"]) == ("permanent_error", 1, resource_id)
    assert item["error"] == {"type": "invalid-input", "detail": "never"}
    assert {"first_at", "last_at"} <= set(item)


def test_filters_narrow_the_list_and_pages_go_through_all_of_it(client: TestClient, library: Library) -> None:
    task = f"task_{uuid4()}"
    made = [dead_letter(library, task=task, queue="batch" if number % 2 else "default") for number in range(5)]
    old = dead_letter(library, task=task, last_at=now() - timedelta(days=3), reason="delivery_limit")

    assert ids(client, task=task) == [old, *reversed(made)]
    assert ids(client, task=task, queue="batch") == [made[3], made[1]]
    assert ids(client, task=task, reason="delivery_limit") == [old]
    day_ago = (now() - timedelta(days=1)).isoformat()
    assert ids(client, task=task, until=day_ago) == [old]
    assert old not in ids(client, task=task, since=day_ago)
    first = client.get("/dead-letters", params={"task": task, "limit": 4}).json()
    rest = client.get("/dead-letters", params={"task": task, "limit": 4, "cursor": first["next_cursor"]}).json()
    assert [UUID(item["id"]) for item in first["items"] + rest["items"]] == [old, *reversed(made)]
    assert rest["next_cursor"] is None


def test_a_time_outside_of_the_calendar_of_utc_is_its_first_or_its_last_moment(
    client: TestClient, library: Library
) -> None:
    task = f"task_{uuid4()}"
    letter_id = dead_letter(library, task=task)
    before, after = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"

    assert ids(client, task=task, since=before) == ids(client, task=task, until=after) == [letter_id]
    assert ids(client, task=task, until=before) == ids(client, task=task, since=after) == []
    replayed = client.post("/dead-letters/replay", params={"task": task, "until": before})
    assert (replayed.status_code, replayed.json()["replayed"]) == (200, 0)


def test_replay_answers_the_same_end_twice_and_its_call_waits(client: TestClient, library: Library) -> None:
    letter_id = dead_letter(library)

    first = client.post(f"/dead-letters/{letter_id}/replay")
    second = client.post(f"/dead-letters/{letter_id}/replay")

    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["outcome"], first.json()["changed"]) == ("replayed", True)
    assert (second.json()["outcome"], second.json()["changed"]) == ("replayed", False)
    call = client.get(f"/tasks/{first.json()['call_id']}").json()
    assert (call["state"], call["attempts"]) == ("waiting", 0)
    assert letter_id not in ids(client)
    closed = client.get(f"/dead-letters/{letter_id}").json()
    assert (closed["closed_as"], closed["closed_by"]) == ("replayed", "api testclient")


def test_discard_keeps_the_note_and_stands_against_a_replay(client: TestClient, library: Library) -> None:
    letter_id = dead_letter(library)

    assert client.delete(f"/dead-letters/{letter_id}", params={"note": "the page is gone"}).status_code == 204
    assert client.delete(f"/dead-letters/{letter_id}").status_code == 204

    closed = client.get(f"/dead-letters/{letter_id}").json()
    assert (closed["closed_as"], closed["note"]) == ("discarded", "the page is gone")
    assert_problem(client.post(f"/dead-letters/{letter_id}/replay"), 409, "dead-letter-closed")
    replayed = dead_letter(library)
    client.post(f"/dead-letters/{replayed}/replay")
    assert_problem(client.delete(f"/dead-letters/{replayed}"), 409, "dead-letter-closed")


def test_many_are_replayed_by_filter_page_by_page(client: TestClient, library: Library) -> None:
    task = f"task_{uuid4()}"
    for _ in range(5):
        dead_letter(library, task=task)
    strange = dead_letter(library, task=task, origin=LetterOrigin.MESSAGE)

    first = client.post("/dead-letters/replay", params={"task": task, "limit": 4}).json()
    rest = client.post("/dead-letters/replay", params={"task": task, "limit": 4, "cursor": first["next_cursor"]}).json()

    assert (first["replayed"], rest["replayed"], rest["next_cursor"]) == (3, 2, None)
    [refused] = first["refused"]
    assert refused["id"] == str(strange)
    assert task in refused["detail"]
    assert ids(client, task=task) == [strange]
    assert_problem(client.post(f"/dead-letters/{strange}/replay"), 409, "not-replayable")


@pytest.mark.parametrize(("data", "text"), [(b"<b>\xc3\xbc</b>", "<b>ü</b>"), (b"\xff\x00", None), (b"", "")])
def test_the_bytes_of_a_message_are_shown_as_data(
    client: TestClient, library: Library, data: bytes, text: str | None
) -> None:
    letter_id = dead_letter(library, origin=LetterOrigin.MESSAGE, payload=data, headers={"x-death": []})

    answer = client.get(f"/dead-letters/{letter_id}")

    payload = answer.json()["payload"]
    assert (payload["size_bytes"], payload["text"], payload["is_whole"]) == (len(data), text, True)
    assert base64.b64decode(payload["base64"]) == data
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["call_id"] is None


def test_a_long_payload_is_shown_in_part_and_says_so(client: TestClient, library: Library) -> None:
    letter_id = dead_letter(library, origin=LetterOrigin.MESSAGE, payload="ü".encode() * 40_000 + b"end")

    payload = client.get(f"/dead-letters/{letter_id}").json()["payload"]

    assert (payload["size_bytes"], payload["is_whole"]) == (80_003, False)
    assert payload["text"] == "ü" * 32_768


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_letter_is_404_and_a_malformed_id_422(client: TestClient, method: str) -> None:
    assert_problem(client.request(method, f"/dead-letters/{uuid4()}"), 404, "not-found")
    assert_problem(client.request(method, "/dead-letters/17"), 422, "invalid-input")
    assert_problem(client.post(f"/dead-letters/{uuid4()}/replay"), 404, "not-found")


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-01-01T00:00:00", "limit=0", "colour=red", "cursor=1"])
def test_a_filter_that_cannot_be_right_replays_nothing(client: TestClient, library: Library, query: str) -> None:
    letter_id = dead_letter(library)

    assert_problem(client.get(f"/dead-letters?{query}"), 422, "invalid-input")
    assert_problem(client.post(f"/dead-letters/replay?{query}"), 422, "invalid-input")

    assert client.get(f"/dead-letters/{letter_id}").json()["closed_at"] is None
