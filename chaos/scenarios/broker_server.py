"""Scenarios that break the broker itself, of either kind or Redis."""

from __future__ import annotations

from contextlib import closing

import redis

from chaos.invariants.observed import Bounds
from chaos.scenarios.dropped_connections import again_and_again
from chaos.scenarios.scenario import Scenario
from chaos.servers.redis import RedisServer
from chaos.servers.sentinel import SentinelServer
from chaos.trial import Trial
from chaos.workload import COMPARED

FINDS_LOST = {"RELAY_LOST_AFTER_SECONDS": "5"}
FULL_FOR_SECONDS = 10.0
FAILS_OVER_WITHIN_SECONDS = 30.0


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


def connections_killed(trial: Trial) -> None:
    """The server drops every connection, those of subscribers too."""
    with closing(_redis(trial).client()) as client:

        def drop() -> None:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

        again_and_again(trial, "every connection killed", drop, starts=1)


def _redis(trial: Trial) -> RedisServer:
    server = trial.ground.broker
    assert isinstance(server, RedisServer)
    return server


SCENARIOS = (
    Scenario(
        number=18,
        title="broker killed",
        fault="SIGKILL of the broker, back after 3 s with its data, three times",
        bound="drained ≤ backlog / rate + 10 s; at most 10 executions repeated",
        act=killed,
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=10, consuming_seconds=10),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=19,
        title="broker wiped",
        fault="SIGKILL of the broker, back without its data, three times",
        bound="drained ≤ 30 s: what is lost is found after 5 s here, 60 s by default; at most 10 executions repeated",
        act=wiped,
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=10, drained_seconds=30),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=20,
        title="failover to a replica",
        fault="SIGKILL of the master; a Sentinel makes its replica the master",
        bound="drained ≤ 30 s: what the replica had not got is found after 5 s here, 60 s by default;"
        " at most 10 executions repeated",
        act=failed_over,
        brokers=("redis",),
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=10, drained_seconds=30, consuming_seconds=15),
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
        is_idle_meanwhile=True,
        load=COMPARED,
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=38,
        title="connections killed by Redis",
        fault="every client connection killed while tasks run, 20 times",
        bound="no execution repeated, not of two tasks in hand either; every worker consumes ≤ 10 s after the last",
        act=connections_killed,
        brokers=("redis",),
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=0),
        breaks_broker=True,
    ),
)
