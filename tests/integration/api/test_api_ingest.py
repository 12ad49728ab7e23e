from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.models.outbox import TaskCall
from app.models.resource import PendingUpload, Resource
from app.services.library import Library


def a_url() -> str:
    return f"https://example.org/{uuid4()}"


def upload(client: TestClient, data: bytes, name: str = "page.html", **headers: str) -> dict[str, Any]:
    response = client.post("/ingest", files={"file": (name, data, "text/html")}, headers=headers)
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


def test_a_url_is_accepted_at_once_and_its_status_can_be_read(client: TestClient) -> None:
    response = client.post("/ingest", json={"url": a_url()})
    assert response.status_code == 202
    accepted = response.json()
    assert set(accepted) == {"resource_id", "call_id", "status_url", "created"}
    assert accepted["created"] is True
    status = client.get(accepted["status_url"]).json()
    assert status["ingestion"]["state"] == "pending"
    call = client.get(f"/tasks/{accepted['call_id']}").json()
    assert (call["task"], call["queue"], call["state"]) == ("ingest_resource_task", "ingest", "waiting")
    assert client.get(f"/resources/{accepted['resource_id']}").json()["ingestion_status"] == "pending"


def test_the_same_url_again_is_the_same_resource(client: TestClient) -> None:
    url = a_url()
    first, second = (client.post("/ingest", json={"url": url}).json() for _ in range(2))
    assert second == {**first, "created": False}


def test_many_requests_for_one_new_url_make_one_resource(client: TestClient, library: Library) -> None:
    url = a_url()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/ingest", json={"url": url}), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["resource_id"] for answer in answers}) == 1
    assert sum(answer.json()["created"] for answer in answers) == 1
    with library.database.reader() as session:
        assert session.scalar(select(func.count()).where(Resource.source == url)) == 1


def test_an_upload_keeps_its_bytes_for_the_worker(client: TestClient, library: Library) -> None:
    data = f"<p>{uuid4()}</p>".encode()
    accepted = upload(client, data, name="../../etc/page.html")
    with library.database.reader() as session:
        kept = session.get(PendingUpload, UUID(accepted["resource_id"]))
    assert kept is not None
    assert (kept.data, kept.media_type, kept.file_name) == (data, "text/html", "page.html")
    assert upload(client, data) == {**accepted, "created": False}


def test_a_big_upload_that_goes_over_the_disk_is_accepted_whole(client: TestClient, library: Library) -> None:
    data = (str(uuid4()) * 6000).encode()[:200_000]
    accepted = upload(client, data)
    with library.database.reader() as session:
        kept = session.get(PendingUpload, UUID(accepted["resource_id"]))
    assert kept is not None
    assert kept.data == data


def test_refresh_asks_for_another_fetch_of_what_is_there(client: TestClient, library: Library) -> None:
    url = a_url()
    accepted = client.post("/ingest", json={"url": url}).json()
    with library.database.writer() as session:
        resource = session.get(Resource, UUID(accepted["resource_id"]))
        call = session.get(TaskCall, UUID(accepted["call_id"]))
        assert resource is not None
        assert call is not None
        resource.ingestion_status, call.state = "completed", "done"  # type: ignore[assignment]  # as rows hold them
    assert client.post("/ingest", json={"url": url}).json()["call_id"] == accepted["call_id"]
    again = client.post("/ingest", json={"url": url, "refresh": True}).json()
    assert again["created"] is False
    assert again["call_id"] != accepted["call_id"]


def test_a_repeat_with_its_key_gets_the_first_answer(client: TestClient) -> None:
    url, key = a_url(), {"Idempotency-Key": uuid4().hex}
    first, second = (client.post("/ingest", json={"url": url}, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert second.json()["created"] is True
    other = client.post("/ingest", json={"url": a_url()}, headers=key)
    assert other.status_code == 422
    data, file_key = uuid4().hex.encode(), uuid4().hex
    files = [upload(client, data, **{"Idempotency-Key": file_key}) for _ in range(2)]
    assert files[0] == files[1]
