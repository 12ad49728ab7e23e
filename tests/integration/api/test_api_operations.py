from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.models.base import now
from app.models.outbox import CallState, ProcessHeartbeat, TaskCall
from app.services import active_broker
from app.services.library import Library
from app.transports.base import QUEUES
from app.transports.registry import open_transport
from chaos.polling import poll_until
from chaos.servers.redis import RedisServer
from tests.integration.api.answers import assert_problem, create
from tests.integration.api.conftest import MakeLibrary


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def parts_of(client: TestClient) -> dict[str, Any]:
    parts: dict[str, Any] = client.get("/readyz").json()["parts"]
    return parts


def both_answer(client: TestClient) -> bool:
    parts = parts_of(client)
    return bool(parts["broker"]["ok"] and parts["cache"]["ok"])


def neither_answers(client: TestClient) -> bool:
    parts = parts_of(client)
    return not (parts["broker"]["ok"] or parts["cache"]["ok"])


def heartbeat(library: Library, role: str, queues: list[str], *, broker: str, **fields: Any) -> ProcessHeartbeat:
    values = {"name": f"{role}@{uuid4()}", "pid": 1, "host": "here", "details": {"concurrency": 2}, **fields}
    return ProcessHeartbeat(role=role, queues=queues, broker=broker, **values)


def a_call(**fields: Any) -> TaskCall:
    values = {"task": "canary_task", "args": [], "queue": "default", "priority": 5, "correlation_id": "c", **fields}
    return TaskCall(due_at=now(), latest_due_at=now(), **values)


def test_the_api_serves_without_broker_cache_or_workers_and_says_so(make_library: MakeLibrary) -> None:
    with TestClient(create_app(make_library()), base_url="http://localhost") as client:
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert (answer.json()["ready"], answer.json()["degraded"]) == (True, True)
        parts = answer.json()["parts"]
        assert {name for name, part in parts.items() if part["ok"]} == {"database", "migrations"}
        assert "refused" in parts["broker"]["detail"]
        created = create(client)
        assert client.put(f"/resources/{created['id']}", json={"title": "New"}).status_code == 200


def test_a_database_without_tables_is_not_ready_but_alive(make_library: MakeLibrary) -> None:
    library = make_library()
    with library.database.writer() as session:
        session.connection().exec_driver_sql("DROP TABLE alembic_version")
    with TestClient(create_app(library), base_url="http://localhost") as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["database"]["ok"]
        assert "alexandria db upgrade" in answer.json()["parts"]["migrations"]["detail"]
        assert client.get("/livez").status_code == 200


def test_relay_and_workers_count_while_they_are_seen_on_this_broker(
    make_library: MakeLibrary, broker: RedisServer
) -> None:
    library = make_library(broker_url=broker.database_url(0), cache_url=broker.database_url(2))
    transport = open_transport(broker.database_url(0))
    here = transport.fingerprint
    with library.database.writer() as session:
        old = now() - timedelta(seconds=60)
        session.add(heartbeat(library, "relay", [], broker=here, seen_at=old))
        session.add(heartbeat(library, "worker", list(QUEUES), broker="redis:elsewhere:1/0"))
        session.add(heartbeat(library, "worker", ["default", "ingest"], broker=here))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        poll_until(lambda: both_answer(client), within_seconds=10, what="broker and cache answer")
        parts = parts_of(client)
        assert (parts["relay"]["ok"], parts["relay"]["detail"]) == (False, "no relay is alive")
        assert not parts["workers"]["ok"]
        assert "ml_tasks" in parts["workers"]["detail"]
        with library.database.writer() as session:
            session.add(heartbeat(library, "relay", [], broker=here))
            session.add(heartbeat(library, "worker", ["ml_tasks", "batch"], broker=here))
        poll_until(lambda: not client.get("/readyz").json()["degraded"], within_seconds=10, what="nothing missing")
    transport.close()


def test_readyz_and_the_broker_s_status_name_the_active_broker_beside_that_of_this_process(
    make_library: MakeLibrary,
) -> None:
    library = make_library()
    with library.database.writer() as session:
        active_broker.switch(session, "rabbitmq:elsewhere:5672//", moment=now())
    with TestClient(create_app(library), base_url="http://localhost") as client:
        relay = parts_of(client)["relay"]
        status = client.get("/broker/status").json()
    assert (relay["ok"], relay["active_broker"], relay["epoch"]) == (False, "rabbitmq:elsewhere:5672//", 1)
    assert "rabbitmq:elsewhere:5672//" in relay["detail"]
    assert status["fingerprint"] in relay["detail"]
    assert status["active"]["fingerprint"] == "rabbitmq:elsewhere:5672//"
    assert status["active"]["epoch"] == 1


def test_a_canary_tells_how_long_ago_a_queue_was_served(make_library: MakeLibrary) -> None:
    library = make_library()
    with library.database.writer() as session:
        session.add(a_call(state=CallState.DONE, done_at=now() - timedelta(seconds=20)))
        session.add(a_call(state=CallState.WAITING, queue="ml_tasks"))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        ages = parts_of(client)["workers"]["canary_age_seconds"]
    assert set(ages) == set(QUEUES)
    assert ages["default"] == pytest.approx(20, abs=5)
    assert ages["ml_tasks"] is None


@pytest.mark.parametrize(
    ("canary", "ok"),
    [
        (None, True),  # no beat runs
        ((CallState.DONE, 20), True),
        ((CallState.DONE, 85), False),
        ((CallState.SENT, None), False),  # never came back
    ],
)
def test_a_queue_that_brings_no_canary_back_is_a_complaint(
    make_library: MakeLibrary, broker: RedisServer, canary: tuple[CallState, float | None] | None, ok: bool
) -> None:
    library = make_library(broker_url=broker.database_url(0), canary_interval_seconds=15.0)
    transport = open_transport(broker.database_url(0))
    with library.database.writer() as session:
        started = now() - timedelta(seconds=90)
        session.add(heartbeat(library, "worker", list(QUEUES), broker=transport.fingerprint, started_at=started))
        if canary is not None:
            state, age_seconds = canary
            done_at = None if age_seconds is None else now() - timedelta(seconds=age_seconds)
            session.add(a_call(state=state, done_at=done_at))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        poll_until(lambda: parts_of(client)["broker"]["ok"], within_seconds=10, what="the broker answers")
        answer = client.get("/readyz")
        workers = answer.json()["parts"]["workers"]
        assert (answer.status_code, answer.json()["ready"], workers["ok"]) == (200, True, ok)
        expected = "1 alive" if ok else r"nothing came back through default for (8[5-9]|9\d) s"
        assert re.fullmatch(expected, workers["detail"])
    transport.close()


def test_a_queue_that_ends_other_calls_is_busy_and_no_complaint(make_library: MakeLibrary) -> None:
    library = make_library(canary_interval_seconds=15.0)
    started = now() - timedelta(seconds=300)
    with library.database.writer() as session:
        session.add(heartbeat(library, "worker", list(QUEUES), broker="redis:here:1/0", started_at=started))
        for queue in ("default", "ml_tasks"):
            session.add(a_call(state=CallState.DONE, done_at=now() - timedelta(seconds=169), queue=queue))
            session.add(a_call(state=CallState.SENT, queue=queue))
        session.add_all(a_call(task="regenerate_embedding_task", queue="ml_tasks") for _ in range(3))
        done = now() - timedelta(seconds=2)
        session.add(a_call(task="regenerate_embedding_task", queue="ml_tasks", state=CallState.DONE, done_at=done))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        workers = parts_of(client)["workers"]
        assert not workers["ok"]
        assert re.fullmatch(r"nothing came back through default for (169|17\d) s", workers["detail"])
        with library.database.writer() as session:
            session.add(a_call(task="reconcile", state=CallState.DONE, done_at=now()))
        poll_until(lambda: parts_of(client)["workers"]["ok"], within_seconds=15, what="default is seen to work")
        expected = {"1 alive", "default is busy, 1 waiting", "ml_tasks is busy, 4 waiting"}
        assert set(parts_of(client)["workers"]["detail"].split("; ")) == expected


def test_a_database_that_can_be_read_but_not_written_says_so_and_nobody_else_is_blamed(
    make_library: MakeLibrary, tmp_path: Path
) -> None:
    library = make_library()
    with TestClient(create_app(library), base_url="http://localhost") as client:
        assert parts_of(client)["database"] == {"ok": True, "detail": "answers"}
        other = sqlite3.connect(tmp_path / "library.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        poll_until(lambda: not parts_of(client)["database"]["ok"], within_seconds=20, what="a write was tried")
        answer = client.get("/readyz")
        other.close()
        parts = answer.json()["parts"]
        assert answer.status_code == 503
        assert parts["database"]["detail"] == "answers, but cannot be written: database is locked"
        assert parts["relay"]["detail"] == "unknown while the database cannot be written"
        assert parts["workers"]["detail"] == "unknown while the database cannot be written"
        poll_until(lambda: parts_of(client)["database"]["ok"], within_seconds=20, what="a write was made")


def test_a_worker_that_has_just_started_is_given_time_for_its_first_canary(make_library: MakeLibrary) -> None:
    library = make_library(canary_interval_seconds=1.0)
    with library.database.writer() as session:
        session.add(heartbeat(library, "worker", list(QUEUES), broker="redis:here:1/0"))
        session.add(a_call(state=CallState.DONE, done_at=now() - timedelta(minutes=4)))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        assert parts_of(client)["workers"]["ok"]


def test_a_silent_broker_and_cache_hold_up_no_request(make_library: MakeLibrary, broker: RedisServer) -> None:
    library = make_library(broker_url=broker.database_url(0), cache_url=broker.database_url(2))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        created = create(client, content="text")
        path = f"/resources/{created['id']}"
        poll_until(lambda: both_answer(client), within_seconds=10, what="broker and cache answer")
        broker.pause()
        try:
            poll_until(lambda: neither_answers(client), within_seconds=10, what="both are known to be silent")
            for request in (
                lambda: client.get("/readyz"),
                lambda: client.get("/broker/status"),
                lambda: client.get(path),
                lambda: client.put(path, json={"content": str(uuid4())}),
            ):
                answer, seconds = timed(request)
                assert answer.status_code == 200
                assert seconds < 1.0
        finally:
            broker.resume()
        poll_until(lambda: both_answer(client), within_seconds=10, what="broker and cache answer")
        assert client.get(path).json()["version"] == 2


def timed(request: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return request(), time.monotonic() - began


def test_the_broker_is_shown_with_the_age_of_the_oldest_call(make_library: MakeLibrary, broker: RedisServer) -> None:
    library = make_library(broker_url=broker.database_url(0))
    with library.database.writer() as session:
        session.add(a_call(state=CallState.SENT, queue="ingest", sent_at=now() - timedelta(seconds=30)))
    with TestClient(create_app(library), base_url="http://localhost") as client:
        poll_until(lambda: client.get("/broker/status").json()["ok"], within_seconds=10, what="broker answers")
        status = client.get("/broker/status").json()
    assert status["transport"] == "redis"
    assert set(status["queues"]) == set(QUEUES)
    assert status["queues"]["default"]["ready"] == 0
    assert status["queues"]["ingest"]["oldest_seconds"] == pytest.approx(30, abs=5)


def test_workers_are_shown_with_what_they_do(make_library: MakeLibrary) -> None:
    library = make_library()
    running = a_call(state=CallState.RUNNING, owner="here:77:1", started_at=now(), task="a_task")
    worker = heartbeat(library, "worker", ["default"], broker="x")
    name = worker.name
    with library.database.writer() as session:
        session.add_all([worker, running, a_call(state=CallState.WAITING)])
    status = TestClient(create_app(library), base_url="http://localhost").get("/workers/status").json()
    assert [call["name"] for call in status["active"][name]] == ["a_task"]
    assert status["stats"][name]["concurrency"] == 2
    assert len(status["scheduled"]["outbox"]) == 1


def test_metrics_count_requests_by_route_and_calls_by_state(make_library: MakeLibrary) -> None:
    client = TestClient(create_app(make_library()), base_url="http://localhost")
    created = create(client)
    client.get(f"/resources/{created['id']}")
    text = client.get("/metrics").text
    assert created["id"] not in text
    read = r'http_request_duration_seconds_count{handler="/resources/{resource_id}",method="GET",status="200"} 1.0'
    assert read in text
    assert 'alexandria_outbox_calls{queue="ml_tasks",state="waiting"} 2.0' in text
    assert re.search(r"^alexandria_db_pool_connections\{state=\"size\"\} \d", text, re.MULTILINE)
    assert "alexandria_database_up 1.0" in text


def test_the_age_of_each_queue_s_canary_is_a_metric(make_library: MakeLibrary) -> None:
    library = make_library()
    with library.database.writer() as session:
        session.add(a_call(state=CallState.DONE, done_at=now() - timedelta(seconds=20)))
        session.add(a_call(state=CallState.SENT, queue="ml_tasks"))
        session.add(a_call(state=CallState.DONE, queue="ingest", done_at=now() - timedelta(hours=1)))
    text = TestClient(create_app(library), base_url="http://localhost").get("/metrics").text
    ages = dict(re.findall(r'^alexandria_canary_age_seconds\{queue="(\w+)"\} (\S+)$', text, re.MULTILINE))
    assert set(ages) == {"default", "ml_tasks"}
    assert float(ages["default"]) == pytest.approx(20, abs=5)
    assert ages["ml_tasks"] == "+Inf"  # one was sent, and came back never


def test_a_client_over_its_limit_is_told_when_to_come_back(make_library: MakeLibrary) -> None:
    client = TestClient(create_app(make_library(rate_limit_per_minute=3)), base_url="http://localhost")
    answers = [client.post("/resources", json={"title": "x"}) for _ in range(3)]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
    refused = client.post("/resources", json={"title": "x"})
    assert_problem(refused, 429, "rate-limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-limit"] == "3"
    assert client.get("/resources").status_code == 200


@pytest.mark.parametrize(("given", "kept"), [("my-id.1:2", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)])
def test_a_good_request_id_is_kept_and_stored_with_the_events(
    make_library: MakeLibrary, given: str, kept: bool
) -> None:
    client = TestClient(create_app(make_library()), base_url="http://localhost")
    answer = client.post("/resources", json={"title": "x"}, headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept
    event = client.get("/events/history").json()[-1]
    assert event["correlation_id"] == answer.headers["x-request-id"]


def test_a_bug_is_a_problem_without_our_insides(make_library: MakeLibrary) -> None:
    library = make_library()
    with library.database.writer() as session:
        session.connection().exec_driver_sql("DROP TABLE dead_letters")
    answer = TestClient(create_app(library), base_url="http://localhost").get("/dead-letters")
    problem = assert_problem(answer, 500, "internal")
    assert "dead_letters" not in problem["detail"]


def test_every_answer_carries_the_security_headers(make_library: MakeLibrary) -> None:
    client = TestClient(create_app(make_library()), base_url="http://localhost")
    for path in ("/livez", "/nowhere", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
