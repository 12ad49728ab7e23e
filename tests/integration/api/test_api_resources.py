from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.cache.keys import resource_key
from app.models.derived import Embedding
from app.models.outbox import EventRecord, TaskCall
from app.models.resource import Resource
from app.services.library import Library
from tests.integration.api.answers import assert_problem, create


def events_of(library: Library, resource_id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = select(EventRecord).where(EventRecord.subject == UUID(resource_id)).order_by(EventRecord.id)
    with library.database.reader() as session:
        return [(row.name, dict(row.data)) for row in session.scalars(rows)]


def versions(shown: dict[str, Any]) -> tuple[int, int, int]:
    return shown["version"], shown["content_version"], shown["metadata_version"]


def test_a_created_resource_is_read_back_as_it_was_sent(client: TestClient) -> None:
    fields = {
        "title": "Über die Entstehung",
        "content": "Line one\r\nline two\n",
        "subject": ["biology", "evolution"],
        "date_created": "1859-11-24",
        "language": "de",
        "publication_year": 1859,
    }
    created = create(client, **fields)
    read = client.get(f"/resources/{created['id']}")
    assert read.json() == created
    assert {name: created[name] for name in fields} == fields
    assert versions(created) == (1, 1, 1)
    assert created["ingestion_status"] == "completed"


def test_creating_answers_with_its_place_and_version(client: TestClient) -> None:
    response = client.post("/resources", json={"title": "Somewhere"})
    assert response.headers["location"] == f"/resources/{response.json()['id']}"
    assert response.headers["etag"] == '"1"'


def test_creating_stores_one_event_and_the_calls_it_causes(client: TestClient, library: Library) -> None:
    created = create(client, content="Some text", authors=["Ada Lovelace"])
    data = {"resource_id": created["id"], "version": 1, "content_version": 1, "metadata_version": 1}
    data |= {"authors_version": 1, "names_authors": True}
    assert events_of(library, created["id"]) == [("resource.created", data)]
    calls = select(TaskCall.task).where(TaskCall.subject == UUID(created["id"])).order_by(TaskCall.task)
    with library.database.reader() as session:
        assert session.scalars(calls).all() == [
            "classify_resource_task",
            "extract_citations_task",
            "normalize_authors_task",
            "recompute_quality_task",
            "regenerate_embedding_task",
            "update_search_index_task",
        ]


def test_a_resource_without_content_has_an_empty_one_and_things_are_derived_from_it(client: TestClient) -> None:
    created = create(client, title="Only a title", creator="Ada Lovelace")
    assert (created["content"], created["content_version"]) == ("", 1)
    derived = client.get(f"/resources/{created['id']}/status").json()["derived"]
    assert {state["state"] for state in derived.values()} == {"stale"}


def test_the_authors_of_a_document_that_names_nobody_are_known_at_once(client: TestClient, library: Library) -> None:
    created = create(client, content="Some text")
    states = {kind: state["state"] for kind, state in client.get(status(created)).json()["derived"].items()}
    calls = select(TaskCall.task).where(TaskCall.subject == UUID(created["id"]))
    with library.database.reader() as session:
        assert "normalize_authors_task" not in session.scalars(calls).all()
    assert states.pop("authors") == "fresh"
    assert set(states.values()) == {"stale"}

    client.put(f"/resources/{created['id']}", json={"authors": ["Ada Lovelace"]})

    assert client.get(status(created)).json()["derived"]["authors"]["state"] == "stale"


def status(resource: dict[str, Any]) -> str:
    return f"/resources/{resource['id']}/status"


def test_the_hash_is_of_the_normalised_text(client: TestClient, library: Library) -> None:
    created = create(client, content="cafe\u0301\r\nnoir  \n")
    with library.database.reader() as session:
        stored = session.get(Resource, UUID(created["id"]))
    assert stored is not None
    assert stored.content_sha256 == hashlib.sha256("caf\u00e9\nnoir".encode()).hexdigest()


def test_the_same_text_is_marked_as_a_duplicate_of_the_oldest(client: TestClient) -> None:
    text = f"The very same text {uuid4()}"
    oldest, second = create(client, content=text), create(client, content=text + "\r\n")
    third = create(client, content="something else")
    assert oldest["duplicate_of"] is None
    assert second["duplicate_of"] == oldest["id"]
    edited = client.put(f"/resources/{third['id']}", json={"content": text}).json()
    assert edited["duplicate_of"] == oldest["id"]
    client.delete(f"/resources/{oldest['id']}")
    assert create(client, content=text)["duplicate_of"] == second["id"]


def test_resources_without_text_are_no_duplicates(client: TestClient) -> None:
    assert [create(client, content="")["duplicate_of"] for _ in range(2)] == [None, None]


def test_a_new_content_moves_the_content_version_only(client: TestClient, library: Library) -> None:
    created = create(client, content="before")
    updated = client.put(f"/resources/{created['id']}", json={"content": "after"})
    assert updated.status_code == 200
    assert versions(updated.json()) == (2, 2, 1)
    assert updated.headers["etag"] == '"2"'
    named = [name for name, _ in events_of(library, created["id"])][1:]
    assert named == ["resource.updated", "resource.content_changed"]


def test_a_new_title_moves_the_metadata_version_only(client: TestClient, library: Library) -> None:
    created = create(client, content="before")
    updated = client.put(f"/resources/{created['id']}", json={"title": "Another", "content": "before"}).json()
    assert versions(updated) == (2, 1, 2)
    events = events_of(library, created["id"])[1:]
    assert [name for name, _ in events] == ["resource.updated", "resource.metadata_changed"]
    assert events[0][1] == {
        "resource_id": created["id"],
        "version": 2,
        "content_version": 1,
        "metadata_version": 2,
        "authors_version": 1,
        "changed_fields": ["title"],
    }


def test_both_changes_are_one_version_and_three_events(client: TestClient, library: Library) -> None:
    created = create(client, content="before")
    updated = client.put(f"/resources/{created['id']}", json={"title": "Another", "content": "after"}).json()
    assert versions(updated) == (2, 2, 2)
    named = [name for name, _ in events_of(library, created["id"])][1:]
    assert named == ["resource.updated", "resource.content_changed", "resource.metadata_changed"]


def test_a_change_that_changes_nothing_leaves_no_trace(client: TestClient, library: Library) -> None:
    created = create(client, content="same", subject=["one"], date_created="2020-02-03")
    same = {"content": "same", "subject": ["one"], "date_created": "2020-02-03", "title": "A title"}
    assert client.put(f"/resources/{created['id']}", json=same).json() == created
    assert client.put(f"/resources/{created['id']}", json={}).json() == created
    assert len(events_of(library, created["id"])) == 1


def test_fields_that_are_not_named_stay_and_null_clears(client: TestClient) -> None:
    created = create(client, creator="Ada", publisher="Press", content="text")
    updated = client.put(f"/resources/{created['id']}", json={"creator": None}).json()
    assert (updated["creator"], updated["publisher"], updated["content"]) == (None, "Press", "text")


def test_a_stale_version_in_the_body_is_a_conflict(client: TestClient) -> None:
    created = create(client)
    path = f"/resources/{created['id']}"
    assert client.put(path, json={"title": "First", "version": 1}).status_code == 200
    assert_problem(client.put(path, json={"title": "Second", "version": 1}), 409, "version-conflict")
    assert client.get(path).json()["title"] == "First"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("stale", ['"7"', 'W/"2"', '"1", "3"', "2", 'v"2"', "nonsense", '"99999999999999999999"'])
def test_a_stale_if_match_is_refused(client: TestClient, method: str, stale: str) -> None:
    created = create(client)
    path = f"/resources/{created['id']}"
    client.put(path, json={"title": "First"})
    body = {"title": "Second"} if method == "PUT" else None
    answer = client.request(method, path, headers={"If-Match": stale}, json=body)
    assert_problem(answer, 412, "precondition-failed")
    assert client.get(path).json()["title"] == "First"


@pytest.mark.parametrize("fresh", ['"2"', '"1", "2"', "*"])
def test_a_fresh_if_match_is_accepted(client: TestClient, fresh: str) -> None:
    created = create(client)
    path = f"/resources/{created['id']}"
    client.put(path, json={"title": "First"})
    assert client.put(path, json={"title": "Second"}, headers={"If-Match": fresh}).status_code == 200


def test_a_client_that_has_the_version_is_told_so_without_the_body(client: TestClient) -> None:
    created = create(client, content="text")
    path = f"/resources/{created['id']}"
    etag = client.get(path).headers["etag"]
    unchanged = client.get(path, headers={"If-None-Match": f"W/{etag}"})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    client.put(path, json={"content": "new text"})
    assert client.get(path, headers={"If-None-Match": etag}).json()["content"] == "new text"


def test_a_deleted_resource_is_gone_everywhere(client: TestClient, library: Library) -> None:
    created = create(client, content="to be deleted", creator="Deleted Author")
    path = f"/resources/{created['id']}"
    gone = client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert_problem(client.request(method, path), 404, "not-found")
    assert_problem(client.put(path, json={"title": "Back"}), 404, "not-found")
    assert_problem(client.get(f"{path}/status"), 404, "not-found")
    assert_problem(client.get(f"{path}/quality"), 404, "not-found")
    assert client.get("/resources", params={"creator": "Deleted Author"}).json()["items"] == []
    name, data = events_of(library, created["id"])[-1]
    assert (name, data["version"]) == ("resource.deleted", 2)


def test_deleting_empties_the_vectors(client: TestClient, library: Library) -> None:
    created = create(client, content="text")
    with library.database.writer() as session:
        values = {"model_id": "m", "dim": 2, "vector": b"12345678", "passage_count": 1, "passages": b"1234"}
        session.add(Embedding(resource_id=UUID(created["id"]), built_from=1, change=1, **values))
    client.delete(f"/resources/{created['id']}")
    with library.database.reader() as session:
        left = session.get(Embedding, UUID(created["id"]))
    assert left is not None
    assert (left.passage_count, left.passages) == (0, b"")


def test_an_edit_is_read_at_once_by_everybody(client: TestClient) -> None:
    created = create(client, content="0")
    path = f"/resources/{created['id']}"
    for number in range(1, 20):
        client.put(path, json={"content": str(number)})
        assert [client.get(path).json()["content"] for _ in range(2)] == [str(number)] * 2


def test_a_value_that_the_cache_kept_by_mistake_is_not_served(client: TestClient, library: Library) -> None:
    created = create(client, content="old")
    path = f"/resources/{created['id']}"
    old = client.get(path).json()
    client.put(path, json={"content": "new"})
    library.cache.set(resource_key(created["id"]), old, version=1)  # what a lost invalidation leaves behind
    assert client.get(path).json()["content"] == "new"


def test_a_repeat_with_the_same_key_changes_nothing_and_answers_the_same(client: TestClient, library: Library) -> None:
    creator = f"creator {uuid4()}"
    headers = {"Idempotency-Key": uuid4().hex}
    first, second = (
        client.post("/resources", json={"title": "Once", "creator": creator}, headers=headers) for _ in range(2)
    )
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["location"] == second.headers["location"]
    with library.database.reader() as session:
        assert session.scalar(select(func.count()).where(Resource.creator == creator)) == 1
    assert len(events_of(library, first.json()["id"])) == 1


def test_the_same_key_with_another_body_is_refused(client: TestClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    client.post("/resources", json={"title": "One"}, headers=headers)
    other = client.post("/resources", json={"title": "Two"}, headers=headers)
    assert_problem(other, 422, "invalid-input")


def test_a_refused_request_does_not_use_up_its_key(client: TestClient) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    assert client.post("/resources", json={"tilte": "typo"}, headers=headers).status_code == 422
    assert client.post("/resources", json={"title": "right"}, headers=headers).status_code == 201


def test_repeats_that_come_together_make_one_resource(client: TestClient, library: Library) -> None:
    creator, headers = f"creator {uuid4()}", {"Idempotency-Key": uuid4().hex}

    def send(_: int) -> Any:
        return client.post("/resources", json={"title": "Once", "creator": creator}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with library.database.reader() as session:
        assert session.scalar(select(func.count()).where(Resource.creator == creator)) == 1


def test_of_two_changes_for_one_version_one_wins(client: TestClient) -> None:
    path = f"/resources/{create(client)['id']}"

    def change(number: int) -> int:
        return client.put(path, json={"title": f"Title {number}", "version": 1}).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(change, range(6)))
    assert statuses == [200, *[409] * 5]
    assert client.get(path).json()["version"] == 2
