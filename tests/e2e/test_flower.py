"""A real `alexandria flower` beside the real processes: what its HTTP API says is what happened."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.database import open_database
from app.events.hooks import PlannedCall
from app.services.unit_of_work import UnitOfWork
from app.settings import load_settings
from app.tasks.task_names import TaskName
from app.transports.base import QUEUES, Message
from app.transports.registry import open_transport
from chaos.polling import DeadlineMissed, poll_until
from chaos.ports import free_port
from chaos.processes import OwnedProcess
from chaos.servers.rabbit import USER, RabbitAccess
from chaos.stack import ROOT, WORKER_QUEUES, Stack
from tests.conformance.witnesses import RabbitWitness, RedisWitness, Witness
from tests.e2e.deployment import Client, Deployment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WITHIN_SECONDS = 60.0
SCHEDULED = (
    *("canary_task", "reconcile_derived_data", "cleanup_expired_cache"),
    *("monitor_quality_degradation", "detect_quality_outliers"),
)
SHOWN_AS = {"done": "SUCCESS", "dead": "FAILURE", "waiting": "RETRY"}
WAITING = {"ingest": 2, "batch": 12, "default": 0, "ml_tasks": 1}
"""Of every priority there is."""


class FlowerApi:
    """Flower's HTTP API."""

    def __init__(self, port: int) -> None:
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def answers(self) -> bool:
        try:
            return bool(self._http.get("/healthcheck").is_success)
        except httpx2.HTTPError:
            return False

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._http.get(path, params=parameters)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def tasks(self, state: str) -> list[dict[str, Any]]:
        return list(self.get("/api/tasks", state=state).values())

    def lengths(self) -> dict[str, int]:
        return {queue["name"]: queue.get("messages", 0) for queue in self.get("/api/queues/length")["active_queues"]}

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def stack(deployment: Deployment) -> Iterator[Stack]:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        environment={
            "EMBEDDING_ENGINE": "hashing",
            "DEBOUNCE_SCALE": "0.1",
            "RETRY_FIRST_DELAY_SECONDS": "300",
            "INGEST_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "INGEST_ALLOWED_PORTS": "80,443,1",
        },
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def flower(stack: Stack, deployment: Deployment, request: pytest.FixtureRequest) -> Iterator[FlowerApi]:
    port = free_port()
    management = [f"--broker_api={_management_url(request)}"] if "rabbitmq" in deployment.name else []
    process = _flower(stack, port, *management)
    process.start()
    try:
        with closing(FlowerApi(port)) as api:
            poll_until(api.answers, within_seconds=WITHIN_SECONDS, what="Flower answers")
            yield api
    finally:
        process.kill()


BOTH_BROKERS = pytest.mark.parametrize(
    "deployment", ["postgresql-redis", "postgresql-rabbitmq"], indirect=True, scope="module"
)


@BOTH_BROKERS
def test_flower_shows_workers_tasks_failures_and_the_depths_of_the_queues(
    stack: Stack, flower: FlowerApi, deployment: Deployment
) -> None:
    workers = poll_until(lambda: _two_workers(flower), within_seconds=WITHIN_SECONDS, what="both workers are seen")
    reads = {frozenset(queue["name"] for queue in worker["active_queues"]) for worker in workers}
    assert reads == {frozenset(queues.split(",")) for queues in WORKER_QUEUES.values()}

    with closing(Client(stack.url)) as client:
        client.post("/resources", {"title": "Seen", "content": "Flower sees the tasks of this page."})
        client.post("/ingest", {"url": "http://127.0.0.1:1/away"})  # nobody listens: tried again later
        _call_with_wrong_arguments(deployment)
        poll_until(
            lambda: client.found("Flower sees", mode="keyword"),
            within_seconds=WITHIN_SECONDS,
            what="the page is indexed",
        )

    done = poll_until(lambda: flower.tasks("SUCCESS"), within_seconds=WITHIN_SECONDS, what="successes")
    assert all(task["runtime"] > 0 and task["worker"] and task["succeeded"] for task in done)
    failed = poll_until(lambda: flower.tasks("FAILURE"), within_seconds=WITHIN_SECONDS, what="failures")
    assert [task["name"] for task in failed] == ["regenerate_embedding_task"]
    assert "permanent_error" in failed[0]["exception"]
    poll_until(lambda: flower.tasks("RETRY"), within_seconds=WITHIN_SECONDS, what="a retry")
    _agrees_with_the_tables(flower, deployment)

    for process in (stack.beat, stack.relay, *stack.workers):
        process.terminate()
    _put_into_queues(deployment)
    witness: Witness = (RabbitWitness if "rabbitmq" in deployment.name else RedisWitness)(deployment.broker_url)
    assert {queue: witness.count(queue) for queue in QUEUES} == WAITING
    poll_until(  # RabbitMQ's management counts every five seconds
        lambda: flower.lengths() == WAITING, within_seconds=20, what=f"Flower's lengths {flower.lengths()}"
    )


@pytest.mark.parametrize("deployment", ["postgresql-rabbitmq"], indirect=True, scope="module")
def test_without_rabbitmq_s_management_flower_shows_all_but_the_depths(stack: Stack) -> None:
    port = free_port()
    process = _flower(stack, port, "--broker_api=http://127.0.0.1:1/api/")
    process.start()
    try:
        with closing(FlowerApi(port)) as api:
            poll_until(api.answers, within_seconds=WITHIN_SECONDS, what="Flower answers")
            assert api.lengths() == {}
            assert isinstance(api.get("/api/tasks"), dict)
    finally:
        process.kill()


def _two_workers(flower: FlowerApi) -> list[dict[str, Any]]:
    known = list(flower.get("/api/workers", refresh="true").values())
    return known if len(known) == 2 and all(worker.get("active_queues") for worker in known) else []


def _agrees_with_the_tables(flower: FlowerApi, deployment: Deployment) -> None:
    """Successes are the calls that are done, failures the dead ones, retries those that wait for another try."""
    with suppress(DeadlineMissed):
        poll_until(
            lambda: _shown(flower) == _stored(deployment),
            within_seconds=WITHIN_SECONDS,
            every_seconds=0.5,
            what="agreed",
        )
    assert _shown(flower) == _stored(deployment)


def _shown(flower: FlowerApi) -> dict[str, str]:
    tasks = flower.get("/api/tasks").values()
    # What began before Flower listened has no name there: a canary, since nothing else was asked for yet.
    named = [task for task in tasks if task["name"] not in {None, *SCHEDULED}]
    return {task["uuid"]: f"{task['name']} {task['state']}" for task in named}


def _stored(deployment: Deployment) -> dict[str, str]:
    """Of the calls that have run; one that waits has run if it was tried."""
    rows = deployment.query(f"SELECT id, task, state, attempts FROM task_calls WHERE task NOT IN {SCHEDULED}")
    return {
        str(call_id): f"{task} {SHOWN_AS.get(state, state)}"
        for call_id, task, state, attempts in rows
        if state != "waiting" or attempts
    }


def _call_with_wrong_arguments(deployment: Deployment) -> None:
    """A call that can only fail for good, stored as every call is."""
    call = PlannedCall(
        task=TaskName.REGENERATE_EMBEDDING,
        args=["no id"],
        queue="ml_tasks",
        priority=5,
        delay=timedelta(0),
        coalesce_key="test:wrong arguments",
    )
    database = open_database(load_settings(database_url=deployment.database_url), role="worker")
    with database.writer() as session:
        unit = UnitOfWork(session, debounce_scale=0)
        unit.enqueue(call)
        unit.close()
    database.engine.dispose()


def _put_into_queues(deployment: Deployment) -> None:
    with closing(open_transport(deployment.broker_url)) as transport:
        sent = [
            Message(call_id=uuid4(), task="canary_task", args=(queue,), queue=queue, priority=number % 10)
            for queue, count in WAITING.items()
            for number in range(count)
        ]
        assert all(outcome.accepted for outcome in transport.publish(sent, deadline_seconds=20))


def _management_url(request: pytest.FixtureRequest) -> str:
    access: RabbitAccess = request.getfixturevalue("rabbit")
    return f"http://{USER}:{access.password}@127.0.0.1:{access.management_port}/api/"


def _flower(stack: Stack, port: int, *options: str) -> OwnedProcess:
    return OwnedProcess(
        "flower",
        [sys.executable, "-m", "app.cli", "flower", f"--port={port}", "--address=127.0.0.1", *options],
        log=stack.directory / f"flower-{port}.log",
        environment={**stack.environment, "FLOWER_UNAUTHENTICATED_API": "true"},
        directory=ROOT,
    )
