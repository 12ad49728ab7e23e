"""Small stacks on both brokers: citations follow what happens through the API, and Flower tells of every task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

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
from chaos.servers.rabbit import USER, RabbitAccess
from chaos.stack import WORKER_QUEUES, Stack
from tests.conformance.witnesses import RabbitWitness, RedisWitness, Witness
from tests.e2e.citing_pages import CitingLibrary, eventually, page
from tests.e2e.deployment import Client, Deployment
from tests.e2e.flower_api import FlowerApi, flower_of
from tests.unit.content.web_server import WebServer, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WITHIN_SECONDS = 60.0
SCHEDULED = (
    *("canary_task", "reconcile_derived_data", "cleanup_expired_cache"),
    *("monitor_quality_degradation", "detect_quality_outliers"),
)
SHOWN_AS = {"done": "SUCCESS", "dead": "FAILURE", "waiting": "RETRY"}
WAITING = {"ingest": 2, "batch": 12, "default": 0, "ml_tasks": 1}
"""Of every priority there is."""


@pytest.fixture(scope="module")
def stack(deployment: Deployment) -> Iterator[Stack]:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        environment={
            "EMBEDDING_ENGINE": "hashing",
            "DEBOUNCE_SCALE": "0.05",
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
    process = flower_of(stack, port, *management)
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


@pytest.fixture
def library(stack: Stack, flower: FlowerApi) -> Iterator[CitingLibrary]:
    """Flower listens already: it is to see every task of the stack. Another test may have ended some processes."""
    assert flower.answers()
    ended = [process for process in stack.processes.values() if not process.running]
    for process in ended:
        process.start()
    for process in ended:
        process.wait_until_up()
    with closing(Client(stack.url)) as client:
        yield CitingLibrary(client=client)


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@BOTH_BROKERS
def test_pages_that_link_to_each_other_become_a_ranked_graph_without_ghosts(
    library: CitingLibrary, web: WebServer
) -> None:
    web.answers["/one"] = page("<a href='two#top'>The other page</a> and doi:10.1234/late.")
    web.answers["/two"] = page("Nothing is cited here.")
    one = library.ingested(web.url("/one"))
    eventually(lambda: len(library.citations(one)) == 2, "the citations are extracted")

    two = library.ingested(web.url("/two"))
    late = library.client.post("/resources", {"title": "Late", "content": "Late.", "doi": "10.1234/LATE"})["id"]
    eventually(lambda: library.targets(one) == [two, late], "targets that came later are found")
    eventually(lambda: library.ranked() == {one, two, late}, "what is linked is ranked")

    [linked, _] = library.citations(one)
    assert (linked["url"], linked["raw"]) == (web.url("/two"), "The other page")
    assert [item["resource_id"] for item in library.citations(late, "incoming")] == [one]
    near = library.client.get(f"/resources/{two}/neighbors", hops=2)["items"]
    assert {item["resource_id"]: item["hops"] for item in near if item["hops"]} == {one: 1, late: 2}

    library.client.put(f"/resources/{late}", {"doi": "10.1234/other"})
    eventually(lambda: library.targets(one) == [two, None], "a target that is another one now is let go")

    library.client.put(f"/resources/{one}", {"content": "Only doi:10.1234/other is cited now."})
    eventually(lambda: library.targets(one) == [late], "an edit is read again")

    library.client.delete(f"/resources/{late}")
    assert library.targets(one) == [None]
    eventually(lambda: library.ranked() == set(), "nothing is linked any more")
    eventually(library.is_fresh, "everything is derived")


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
    process = flower_of(stack, port, "--broker_api=http://127.0.0.1:1/api/")
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
