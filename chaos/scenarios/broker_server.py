"""Scenarios that break the broker itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pika
import redis

from chaos.faults import Fault
from chaos.invariants.observed import Bounds
from chaos.polling import DeadlineMissed
from chaos.scenarios.scenario import Scenario
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer
from chaos.servers.sentinel import SentinelServer
from chaos.trial import Trial

FINDS_LOST = {"RELAY_LOST_AFTER_SECONDS": "5"}
FULL_FOR_SECONDS = 10.0
FAILS_OVER_WITHIN_SECONDS = 30.0
ALARM_WITHIN_SECONDS = 20.0
MAY_HOLD_A_MESSAGE_MS = 2000
READERS = ("worker", "worker-2")
CLOSES_CHANNELS_WITHIN_SECONDS = 60.0


def killed(trial: Trial) -> None:
    """SIGKILL of the server; it comes back with what it had written."""
    for _ in range(trial.rounds(3, fast=1)):
        with trial.fault("SIGKILL of the broker"):
            trial.ground.broker.kill()
            trial.wait(3)
            trial.ground.broker.start()
        trial.wait(5)


def wiped(trial: Trial) -> None:
    """The server comes back empty: the rows are the truth."""
    for _ in range(trial.rounds(3, fast=1)):
        with trial.fault("the broker lost its disk"):
            server = trial.ground.broker
            assert not isinstance(server, SentinelServer)
            server.kill()
            server.wipe()
            trial.wait(1)
            server.start()
        trial.wait(5)


def failed_over(trial: Trial) -> None:
    """The master dies, and the Sentinel makes its replica the master."""
    sentinel = trial.ground.broker
    assert isinstance(sentinel, SentinelServer)
    with trial.fault("SIGKILL of the master"):
        sentinel.first.kill()
        trial.poll(
            lambda: sentinel.master() is sentinel.second, within_seconds=FAILS_OVER_WITHIN_SECONDS, what="a new master"
        )
    trial.wait(5)


def memory_full(trial: Trial) -> None:
    """Redis refuses whatever needs memory."""
    for _ in range(trial.rounds(3, fast=1)):
        with closing(_redis(trial).client()) as client, trial.fault("memory full") as fault:
            client.config_set("maxmemory", 1)
            try:
                client.set("anything", "x")
            except redis.exceptions.OutOfMemoryError:
                fault.missed = ""
            else:
                fault.missed = "a write was accepted"
            trial.wait(FULL_FOR_SECONDS)
            client.config_set("maxmemory", 0)


def memory_alarm(trial: Trial) -> None:
    """RabbitMQ blocks every connection that publishes."""
    server = _rabbit(trial)
    with trial.fault("memory alarm") as fault:
        server.ctl("set_vm_memory_high_watermark", "0.00001")
        trial.poll(lambda: _is_alarmed(server), within_seconds=ALARM_WITHIN_SECONDS, what="the alarm")
        trial.wait(trial.rounds(30, fast=10))
        fault.missed = "" if _is_alarmed(server) else "the alarm went off by itself"
        server.ctl("set_vm_memory_high_watermark", "0.4")
        trial.poll(lambda: not _is_alarmed(server), within_seconds=ALARM_WITHIN_SECONDS, what="the end of the alarm")


def queue_deleted(trial: Trial) -> None:
    """A queue is deleted under load, with what is in it."""
    for queue in ("default", "ml_tasks")[: trial.rounds(2, fast=1)]:
        with trial.fault(f"queue {queue} deleted"), closing(_pika(trial)) as connection:
            connection.channel().queue_delete(queue)
        trial.wait(5)


def consumer_timed_out(trial: Trial) -> None:
    """A task takes longer than a worker may hold its message: RabbitMQ closes the channel, again and again."""
    server = _rabbit(trial)
    for name, value in (("consumer_timeout", MAY_HOLD_A_MESSAGE_MS), ("channel_tick_interval", 500)):
        server.ctl("eval", f"application:set_env(rabbit, {name}, {value}).")
    for worker in trial.stack.workers:  # a channel keeps the time that it was opened with
        trial.end(worker)
        trial.start(worker)
    for number in range(trial.rounds(3, fast=1)):
        path = f"/held/long-{number}"
        trial.client.ingest(trial.documents.url(path))
        holder = trial.arrival(path, 1)
        worker_of_it = trial.worker_of(holder.pid) if holder else None
        with trial.fault(f"consumer_timeout of {MAY_HOLD_A_MESSAGE_MS} ms") as fault:
            closed = _times_closed(server)
            if worker_of_it is None:
                fault.missed = f"nobody holds {path}"
                continue
            trial.poll(
                lambda before=closed: _times_closed(server) >= before + 2,  # type: ignore[misc]  # bound at once
                within_seconds=CLOSES_CHANNELS_WITHIN_SECONDS,
                what="the channel is closed twice",
            )
            trial.expect(worker_of_it.running, f"{worker_of_it.name} ended by it")
            trial.documents.release(path)
        trial.poll(
            lambda one=path: trial.tables.query(_IS_READ, trial.ledger.documents[trial.documents.url(one)]),  # type: ignore[misc]  # as above
            within_seconds=30,
            what="the document is read",
        )
        # RabbitMQ gives the message to another worker, which cannot know that the first one lives; never to both again.
        count = len(trial.documents.arrivals(path))
        trial.expect(count <= len(READERS), f"{path} was asked for {count} times by {len(READERS)} workers")


def connections_closed(trial: Trial) -> None:
    """The server closes every connection."""
    server = _rabbit(trial)
    _again_and_again(trial, "every connection closed", lambda: server.ctl("close_all_connections", "chaos"))


def connections_killed(trial: Trial) -> None:
    """The server drops every connection, those of subscribers too."""
    with closing(_redis(trial).client()) as client:

        def drop() -> None:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

        _again_and_again(trial, "every connection killed", drop)


def _again_and_again(trial: Trial, name: str, drop: Callable[[], object]) -> None:
    for _ in range(trial.rounds(20, fast=5)):
        with trial.fault(name) as fault:
            _drop(trial, fault, drop)
        trial.wait(trial.random.uniform(0.3, 1.5))


def _drop(trial: Trial, fault: Fault, drop: Callable[[], object]) -> None:
    [line] = trial.lines("broker", "worker")
    stood = trial.wait_until_used(line)
    drop()
    try:
        trial.poll(lambda: stood - line.connections(), within_seconds=5, what="a connection of the worker is gone")
    except DeadlineMissed:
        fault.missed = "the connections of the worker stand"


def _redis(trial: Trial) -> RedisServer:
    server = trial.ground.broker
    assert isinstance(server, RedisServer)
    return server


def _rabbit(trial: Trial) -> RabbitServer:
    server = trial.ground.broker
    assert isinstance(server, RabbitServer)
    return server


def _pika(trial: Trial) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(trial.ground.broker_url))


def _times_closed(server: RabbitServer) -> int:
    return server.log.read_text(errors="replace").count("has timed out waiting for")


def _is_alarmed(server: RabbitServer) -> bool:
    return any(node["mem_alarm"] for node in server.access.management("GET", "/api/nodes"))


_IS_READ = "SELECT 1 FROM resources WHERE id::text = %s AND ingestion_status = 'completed'"

SCENARIOS = (
    Scenario(
        number=18,
        title="broker killed",
        fault="SIGKILL of the broker, back after 3 s with its data, three times",
        bound="drained ≤ backlog / rate + 10 s",
        act=killed,
        also=("I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=40, consuming_seconds=10),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=19,
        title="broker wiped",
        fault="SIGKILL of the broker, back without its data, three times",
        bound="drained ≤ 30 s: what is lost is found after 5 s here, 60 s by default",
        act=wiped,
        also=("I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=40, drained_seconds=30),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=20,
        title="failover to a replica",
        fault="SIGKILL of the master; a Sentinel makes its replica the master",
        bound="drained ≤ 30 s: what the replica had not got is found after 5 s here, 60 s by default",
        act=failed_over,
        brokers=("redis",),
        also=("I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=40, drained_seconds=30, consuming_seconds=15),
        breaks_lines=False,
        behind_sentinel=True,
    ),
    Scenario(
        number=22,
        title="Redis full",
        fault="memory full for 10 s (noeviction), three times",
        bound="every worker consumes ≤ 10 s after it is freed, none ends",
        act=memory_full,
        brokers=("redis",),
        also=("I6", "I7", "I10"),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=23,
        title="RabbitMQ's memory alarm",
        fault="publishers blocked for 30 s",
        bound="no write slower",
        act=memory_alarm,
        brokers=("rabbitmq",),
        also=("I6", "I7", "I10"),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=24,
        title="queue deleted",
        fault="two queues deleted under load, one after the other",
        bound="every worker consumes again, what was in them is sent again",
        act=queue_deleted,
        brokers=("rabbitmq",),
        also=("I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=40, drained_seconds=30, consuming_seconds=20),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=25,
        title="consumer timeout",
        fault="a task takes longer than RabbitMQ's consumer_timeout of 2 s, three times",
        bound="the worker lives; the task is started once in each worker at most, and its effect is one",
        act=consumer_timed_out,
        brokers=("rabbitmq",),
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=3),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=26,
        title="connections closed by RabbitMQ",
        fault="all connections force-closed, 20 times",
        bound="every worker consumes ≤ 10 s after the last",
        act=connections_closed,
        brokers=("rabbitmq",),
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=100),
        breaks_broker=True,
    ),
    Scenario(
        number=38,
        title="connections killed by Redis",
        fault="every client connection killed while tasks run, 20 times",
        bound="no task starts twice",
        act=connections_killed,
        brokers=("redis",),
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=0),
        breaks_broker=True,
    ),
)
