"""Writes while the broker is dead, and while it is silent: as fast as ever, and nothing is lost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from chaos.polling import poll_until
from chaos.servers.postgres import PostgresServer
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import ValkeyServer
from chaos.stack import Stack
from tests.e2e.deployment import Client, Deployment
from tests.e2e.staleness import stale_by_the_tables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.usefixtures("alone")]

WRITES = 750
TURNS = 2
RESOURCES = 25
SLOWER_AT_MOST = 1.2


@pytest.mark.parametrize("kind", ["sqlite-valkey", "postgresql-rabbitmq"])
def test_writes_stay_fast_and_converge_after_the_broker_returns(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as running:
        deployment, broker = running.enter_context(_own_servers(kind, tmp_path, request))
        stack = running.enter_context(_stack(deployment))
        client = running.enter_context(closing(Client(stack.url)))
        ids = [client.post("/resources", {"title": "t", "content": "first"})["id"] for _ in range(RESOURCES)]
        _put_many(client, ids, note="warm up", count=100)
        healthy: list[float] = []
        killed: list[float] = []
        silent: list[float] = []
        # In turns: what else this machine does for a few seconds then slows all three alike.
        for turn in range(TURNS):
            healthy += _put_many(client, ids, note=f"healthy {turn}")

            broker.kill()  # with what these writes have caused in it, and in the workers
            killed += _put_many(client, ids, note=f"killed {turn}")
            _readyz_names_the_broker(stack)
            broker.start()
            _converges(client, deployment, ids, last=f"killed {turn}")

            broker.pause()
            silent += _put_many(client, ids, note=f"silent {turn}")
            _readyz_names_the_broker(stack)
            broker.resume()
            _converges(client, deployment, ids, last=f"silent {turn}")

    p95 = {"healthy": _p95_ms(healthy), "killed": _p95_ms(killed), "silent": _p95_ms(silent)}
    with capsys.disabled():
        print(f"{kind}: p95 of {len(healthy)} writes each, ms: {p95}")  # noqa: T201  what the bound is held against
    assert p95["killed"] <= SLOWER_AT_MOST * p95["healthy"], p95
    assert p95["silent"] <= SLOWER_AT_MOST * p95["healthy"], p95


@contextmanager
def _own_servers(
    kind: str, directory: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Deployment, ValkeyServer | RabbitServer]]:
    """A broker that may be broken: no other test uses it."""
    with ExitStack() as stack:
        cache = stack.enter_context(ValkeyServer())
        broker: ValkeyServer | RabbitServer
        if kind == "sqlite-valkey":
            broker = stack.enter_context(ValkeyServer())
            database = f"sqlite:///{directory / 'alexandria.sqlite3'}"
        else:
            broker = stack.enter_context(RabbitServer())
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            database = postgres.create_database()
        yield (
            Deployment(name=kind, database_url=database, broker_url=broker.url, cache_url=cache.url),
            broker,
        )


def _stack(deployment: Deployment) -> Stack:
    return Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        environment={
            "LOG_LEVEL": "WARNING",
            "EMBEDDING_ENGINE": "hashing",
            "RELAY_LOST_AFTER_SECONDS": "5",
            "CALL_LEASE_SECONDS": "5",
            "RECONCILE_INTERVAL_SECONDS": "3600",  # the outbox alone must bring everything back
        },
    )


def _put_many(client: Client, ids: list[str], *, note: str, count: int = WRITES) -> list[float]:
    """Seconds of each PUT; all must be answered 200."""
    latencies = []
    for number in range(count):
        begun = time.perf_counter()
        client.put(f"/resources/{ids[number % len(ids)]}", {"content": f"{note} {number}"})
        latencies.append(time.perf_counter() - begun)
    return latencies


def _p95_ms(seconds: list[float]) -> float:
    return round(1000 * statistics.quantiles(seconds, n=20)[-1], 1)


def _readyz_names_the_broker(stack: Stack) -> None:
    def says_so() -> bool:
        answer = stack.readiness()
        return bool(answer.get("ready") and answer["degraded"] and not answer["parts"]["broker"]["ok"])

    poll_until(says_so, within_seconds=15, what="/readyz says that the broker is away, and still ready")


def _converges(client: Client, deployment: Deployment, ids: list[str], *, last: str) -> None:
    poll_until(client.has_converged, within_seconds=120, every_seconds=0.2, what="converged after the outage")
    assert stale_by_the_tables(deployment) == []
    assert deployment.query("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1") == []
    found = [
        hit
        for number in range(WRITES - RESOURCES, WRITES)
        for hit in client.found(f'"{last} {number}"', mode="keyword")
    ]
    assert sorted(found) == sorted(ids)
