"""What Redis and Valkey do to a worker: full, read-only, forgetful, loading, silent, cut off, far, failing over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis

from app.tasks.watchdog import PATIENCE_SECONDS
from app.transports.base import Transport
from app.transports.registry import open_transport
from chaos.polling import poll_until
from chaos.ports import free_port
from chaos.servers.base import Server
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.servers.sentinel import SentinelServer
from tests.conformance.brokers import messages
from tests.conformance.product_worker import HeldTasks, ProductWorker, held_tasks
from tests.conformance.slow_proxy import SlowProxy

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

KINDS = {"redis": RedisServer, "valkey": ValkeyServer}
CONSUMES_WITHIN_SECONDS = 10.0
CUTS = 20
LATENCY_SECONDS = 60.0
SILENCE_SECONDS = 17.0
"""Longer than a lease: everyone's has run out when the server is back."""
LONGER_THAN_PATIENCE_SECONDS = 2 * PATIENCE_SECONDS
KEYS_TO_LOAD = 2000
KEY_LOAD_DELAY_MICROSECONDS = 2000
"""Of each key: a shorter sleep takes a millisecond more on a busy machine, and the server would not be up in time."""
SEED = 20261124


@pytest.fixture(params=sorted(KINDS))
def server(request: pytest.FixtureRequest, fragile_servers: Callable[[str], Server]) -> Iterator[RedisServer]:
    server = fragile_servers(str(request.param))
    assert isinstance(server, RedisServer)
    yield server
    server.resume()
    if not server.process.running:
        server.start()
    with server.client() as client:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", "0")
        client.flushall()


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def transport(server: RedisServer) -> Iterator[Transport]:
    with closing(open_transport(server.url)) as transport:
        yield transport


@pytest.fixture
def tasks(tmp_path: Path, transport: Transport) -> Iterator[HeldTasks]:
    with held_tasks(tmp_path, transport) as tasks:
        yield tasks


@pytest.fixture
def worker(server: RedisServer, tasks: HeldTasks) -> Iterator[ProductWorker]:
    with ProductWorker("worker", url=server.url, tasks=tasks, concurrency=3) as worker:
        yield worker


def test_a_full_server_gives_out_what_it_holds_and_takes_what_is_done(
    server: RedisServer, client: redis.Redis, transport: Transport, tasks: HeldTasks, worker: ProductWorker
) -> None:
    names = tasks.publish(8)
    client.config_set("maxmemory", "1")
    assert transport.publish(messages(), deadline_seconds=5)[0].refused

    tasks.release(*names)
    tasks.wait_ended(*names)
    poll_until(lambda: client.hlen("unacked") == 0, within_seconds=CONSUMES_WITHIN_SECONDS, what="all is settled")

    client.config_set("maxmemory", "0")
    _consumes_again(tasks)
    _nothing_is_left(server, worker, tasks, once=names)


def test_a_server_that_became_read_only_is_waited_for(
    server: RedisServer, client: redis.Redis, tasks: HeldTasks, worker: ProductWorker
) -> None:
    """It still tells how much is waiting, which nobody can take: no reason for the watchdog to end what runs."""
    ends, runs_on, _ = running = tasks.publish(3)
    tasks.wait_started(*running)
    behind = tasks.publish(4, seconds=0)
    client.replicaof("127.0.0.1", str(free_port()))
    poll_until(lambda: "read only" in worker.log, within_seconds=CONSUMES_WITHIN_SECONDS, what="the worker meets it")
    tasks.release(ends)
    tasks.wait_ended(ends)
    _let_pass(LONGER_THAN_PATIENCE_SECONDS)
    assert "the consumer hangs" not in worker.log
    assert not tasks.ends(runs_on)

    client.replicaof("NO", "ONE")

    _consumes_again(tasks)
    tasks.release(*running)
    tasks.wait_ended(*running, *behind)
    _nothing_is_left(server, worker, tasks, once=[*running, *behind])


def test_scripts_that_the_server_forgot_are_brought_back(
    server: RedisServer, client: redis.Redis, tasks: HeldTasks, worker: ProductWorker
) -> None:
    names: list[str] = []
    for _ in range(CUTS):
        client.script_flush()
        names += _consumes_again(tasks)
    _nothing_is_left(server, worker, tasks, once=names)


def test_a_server_that_still_loads_is_waited_for(
    server: RedisServer, client: redis.Redis, tasks: HeldTasks, worker: ProductWorker
) -> None:
    running = tasks.publish(2)
    tasks.wait_started(*running)
    client.mset({f"ballast:{number}": "x" for number in range(KEYS_TO_LOAD)})
    client.bgrewriteaof()  # only what is in the base file is loaded key by key
    poll_until(
        lambda: dict(client.info("persistence"))["aof_rewrite_in_progress"] == 0,
        within_seconds=20,
        what="it is rewritten",
    )
    configuration = server.directory / "server.conf"
    usual = configuration.read_text()
    configuration.write_text(
        f"{usual}key-load-delay {KEY_LOAD_DELAY_MICROSECONDS}\nloading-process-events-interval-bytes 1024\n"
    )
    try:
        server.restart()
    finally:
        configuration.write_text(usual)

    assert "loading the dataset" in worker.log.lower()
    _consumes_again(tasks)
    tasks.release(*running)
    tasks.wait_ended(*running)
    _nothing_is_left(server, worker, tasks, once=running)


def test_every_connection_closed_twenty_times_starts_no_running_task_twice(
    server: RedisServer, client: redis.Redis, tasks: HeldTasks, worker: ProductWorker
) -> None:
    running = tasks.publish(2)
    tasks.wait_started(*running)
    beside: list[str] = []
    for _ in range(CUTS):
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
        beside += _consumes_again(tasks)
    tasks.release(*running)
    tasks.wait_ended(*running)
    _nothing_is_left(server, worker, tasks, once=[*running, *beside])


def test_a_server_that_was_silent_for_longer_than_a_lease_takes_nothing_from_the_living(
    server: RedisServer, tasks: HeldTasks, worker: ProductWorker
) -> None:
    with ProductWorker("other", url=server.url, tasks=tasks, concurrency=4):
        running = tasks.publish(3)
        tasks.wait_started(*running)

        server.pause()
        _let_pass(SILENCE_SECONDS)
        server.resume()

        _consumes_again(tasks)
        _let_pass(3.0)
        assert {name: len(tasks.starts(name)) for name in running} == dict.fromkeys(running, 1)
        tasks.release(*running)
        tasks.wait_ended(*running)


def test_half_a_second_of_latency_and_more_takes_nothing_from_the_living(server: RedisServer, tasks: HeldTasks) -> None:
    with (
        SlowProxy(server.port, milliseconds=500, jitter_milliseconds=300, seed=SEED, slow=False) as proxy,
        ExitStack() as running,
    ):
        far = server.url.replace(f":{server.port}/", f":{proxy.port}/")
        workers = [ProductWorker(name, url=far, tasks=tasks, concurrency=2) for name in ("one", "two")]
        for worker in workers:
            running.enter_context(worker)
        with ProductWorker("near", url=server.url, tasks=tasks, queues="batch"):  # it sweeps, and is never late
            proxy.slow = True
            names = tasks.publish(3)
            tasks.wait_started(*names, within_seconds=60)
            _let_pass(LATENCY_SECONDS)
            assert {name: len(tasks.starts(name)) for name in names} == dict.fromkeys(names, 1)
            assert not [worker.name for worker in workers if "leases were lost" in worker.log]
            tasks.release(*names)
            tasks.wait_ended(*names)


def test_work_that_waits_for_a_worker_far_away_is_taken_once_it_is_seen_to_live(
    server: RedisServer, tasks: HeldTasks
) -> None:
    names = tasks.publish(2)
    with SlowProxy(server.port, milliseconds=500, jitter_milliseconds=300, seed=SEED) as proxy:
        far = server.url.replace(f":{server.port}/", f":{proxy.port}/")
        with (
            ProductWorker("near", url=server.url, tasks=tasks, queues="batch") as near,  # it sweeps, and is never late
            ProductWorker("far", url=far, tasks=tasks, concurrency=2),
        ):
            tasks.wait_started(*names, within_seconds=60)
            _let_pass(10.0)
            assert {name: len(tasks.starts(name)) for name in names} == dict.fromkeys(names, 1)
            assert "given back what dead workers held" not in near.log
            tasks.release(*names)
            tasks.wait_ended(*names)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_failover_is_followed_and_running_tasks_keep_their_one_start(kind: str, tmp_path: Path) -> None:
    a_dead_one = f"sentinel://127.0.0.1:{free_port()}"
    with (
        SentinelServer(KINDS[kind]) as sentinel,
        closing(open_transport(url := f"{a_dead_one};{sentinel.url}")) as transport,
        held_tasks(tmp_path, transport) as tasks,
        ProductWorker("worker", url=url, tasks=tasks, concurrency=3) as worker,
    ):
        running = tasks.publish(2)
        tasks.wait_started(*running)
        old = sentinel.master()
        with old.client() as client:
            assert client.wait(1, 5000) == 1
        old.kill()

        poll_until(lambda: sentinel.master() is not old, within_seconds=30, what="the replica is the master")
        tasks.wait_ended(*_published(tasks), within_seconds=30)
        tasks.release(*running)
        tasks.wait_ended(*running)

        _nothing_is_left(sentinel.master(), worker, tasks, once=running)


def _published(tasks: HeldTasks) -> list[str]:
    """New tasks, as soon as the broker takes them."""
    names: list[str] = []

    def taken() -> bool:
        try:
            names.extend(tasks.publish(seconds=0))
        except Exception:  # noqa: BLE001  refused, or nobody there: not yet
            return False
        return True

    poll_until(taken, within_seconds=30, what="the broker takes messages")
    return names


def _consumes_again(tasks: HeldTasks) -> list[str]:
    """A new task, sent now, ends in time."""
    until = time.monotonic() + CONSUMES_WITHIN_SECONDS
    names = _published(tasks)
    tasks.wait_ended(*names, within_seconds=max(0.1, until - time.monotonic()))
    return names


def _nothing_is_left(server: RedisServer, worker: ProductWorker, tasks: HeldTasks, *, once: list[str]) -> None:
    """The worker lived through it; when it goes, nothing that it had not settled comes back."""
    assert worker.process.running
    assert worker.times_ready() == 1
    assert {name: len(tasks.starts(name)) for name in once} == dict.fromkeys(once, 1)
    worker.process.terminate()
    with server.client() as client:
        kept = {key.decode() for key in client.keys("*")}
    left = {key for key in kept if key.startswith(("default", "unacked", "wake:")) and key != "unacked_swept"}
    assert left == set()


def _let_pass(seconds: float) -> None:
    until = time.monotonic() + seconds
    poll_until(lambda: time.monotonic() >= until, within_seconds=seconds + 1, what="the time")
