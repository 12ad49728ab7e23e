"""Scenarios that break the broker itself, of either kind or Redis."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import redis

from chaos.broker_contents import QUEUES, contents
from chaos.invariants.observed import GRACE_SECONDS, Bounds
from chaos.scenarios.dropped_connections import again_and_again
from chaos.scenarios.frozen_workers import nothing_moves
from chaos.scenarios.scenario import Scenario
from chaos.servers.rabbit import RabbitServer
from chaos.servers.redis import RedisServer
from chaos.servers.sentinel import SentinelServer
from chaos.stack import PROCESSES_OF
from chaos.tables import IS_OPEN, IS_WORK
from chaos.trial import Trial
from chaos.workload import COMPARED

FINDS_LOST = {"RELAY_LOST_AFTER_SECONDS": "5"}
SENT_AGAIN_WITHIN_SECONDS = 20.0
FULL_FOR_SECONDS = 10.0
WORKED_OFF_WITHIN_SECONDS = 60.0
FAILS_OVER_WITHIN_SECONDS = 30.0


def killed(trial: Trial) -> None:
    """SIGKILL of the server; it comes back with what it had written: all of what its users had been told is there.

    They stand still so long that what is there before can be counted, and after. Once more while they work.
    """
    for _ in range(trial.rounds(3, fast=1)):
        with nothing_moves(trial), trial.fault("SIGKILL of the broker") as fault:
            before = _messages(trial)
            _killed_and_back(trial)
            after = _messages(trial)
            fault.name += f" with {before} messages on it, {after} when it is back"
            fault.missed = "" if before else "it held nothing"
        trial.expect(after == before, f"{before} messages were on the broker, and {after} when it was back")
        trial.wait(5)
    with trial.fault("SIGKILL of the broker amid work") as fault:
        at_it = trial.poll(
            lambda: trial.tables.one(_AT_THE_BROKER), within_seconds=30, what="calls are sent", every_seconds=0.01
        )
        fault.name += f", with {at_it} calls sent or running"
        _killed_and_back(trial)
    trial.wait(5)


def _killed_and_back(trial: Trial) -> None:
    trial.ground.broker.kill()
    trial.wait(3)
    trial.ground.broker.start()


def wiped(trial: Trial) -> None:
    """The server comes back empty: the rows are the truth, and whatever waited on it is sent again."""
    for _ in range(trial.rounds(3, fast=1)):
        counted = int(trial.tables.one(_REDISPATCHED))
        with nothing_moves(trial) as backlog, trial.fault("the broker lost its disk") as fault:
            server = trial.ground.broker
            assert not isinstance(server, SentinelServer)
            server.kill()
            server.wipe()
            trial.wait(1)
            server.start()
            left = _messages(trial)
            fault.name += f" with {backlog.ready} messages on it, {left} when it is back"
            fault.missed = "it held nothing" if not backlog.ready else f"{left} are there still" if left else ""
        seconds = backlog.seconds_until_sent_again(trial, within_seconds=SENT_AGAIN_WITHIN_SECONDS)
        trial.measure(f"{backlog.ready} lost calls sent again", seconds, at_most=SENT_AGAIN_WITHIN_SECONDS)
        counted = int(trial.tables.one(_REDISPATCHED)) - counted
        trial.expect(counted >= backlog.ready, f"redispatched_total grew by {counted}, {backlog.ready} were lost")


def failed_over(trial: Trial) -> None:
    """The master dies, and the Sentinel makes its replica the master, which has all that there was to have."""
    sentinel = trial.ground.broker
    assert isinstance(sentinel, SentinelServer)
    with nothing_moves(trial) as backlog, trial.fault("SIGKILL of the master") as fault:
        sentinel.first.kill()
        trial.poll(
            lambda: sentinel.master() is sentinel.second, within_seconds=FAILS_OVER_WITHIN_SECONDS, what="a new master"
        )
        after = _messages(trial)
        fault.name += f" with {backlog.ready} messages on it, {after} on the new one"
        fault.missed = "" if backlog.ready else "it held nothing"
    trial.expect(after == backlog.ready, f"{backlog.ready} messages were on the master, and {after} on the new one")
    trial.wait(5)


def memory_full(trial: Trial) -> None:
    """Redis refuses whatever needs memory, and each time every worker comes back.

    What has waited is worked off before the next time: what the writes of a round are compared with had nothing
    processed beside it.
    """
    for number in range(trial.rounds(3, fast=1)):
        if number:
            for worker, seconds in trial.wait_until_consuming(within_seconds=20).items():
                trial.measure(f"{worker} consuming again", seconds, at_most=10)
            _wait_until_worked_off(trial)
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


def _wait_until_worked_off(trial: Trial) -> None:
    """Until every call that is there now has ended, those too that were refused and so are due later."""
    now = datetime.now(UTC)
    trial.poll(
        lambda: not trial.tables.one(_LEFT, now), within_seconds=WORKED_OFF_WITHIN_SECONDS, what="all is worked off"
    )


def connections_killed(trial: Trial) -> None:
    """The server drops every connection, those of subscribers too."""
    with closing(_redis(trial).client()) as client:

        def drop() -> None:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind, skipme=True)

        again_and_again(trial, "every connection killed", drop, starts=1)


def _messages(trial: Trial) -> int:
    """Of calls; on RabbitMQ with what workers hold, which is ready again when it is back."""
    server = trial.ground.own_broker
    found = contents(trial.ground.contents_url, server=server if isinstance(server, RabbitServer) else None)
    return sum(found.ready.get(queue, 0) + found.unacked.get(queue, 0) for queue in QUEUES)


def _redis(trial: Trial) -> RedisServer:
    server = trial.ground.broker
    assert isinstance(server, RedisServer)
    return server


_AT_THE_BROKER = "SELECT count(*) FROM task_calls WHERE state IN ('sent', 'running')"
_LEFT = f"SELECT count(*) FROM task_calls WHERE {IS_OPEN} AND {IS_WORK} AND created_at <= %s"
_REDISPATCHED = "SELECT coalesce(sum(value), 0) FROM counters WHERE name = 'redispatched_total'"

SCENARIOS = (
    Scenario(
        number=18,
        title="broker killed",
        fault="SIGKILL of the broker with messages on it, back after 3 s with its data, three times while its users"
        " stand still, once while they work",
        bound="all messages are there when it is back; drained ≤ backlog / rate + 10 s; at most 5 executions repeated,"
        " as many as can be in hand",
        act=killed,
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=sum(PROCESSES_OF.values())),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=19,
        title="broker wiped",
        fault="SIGKILL of the broker with messages on it, back without them, three times",
        bound="what is lost is found after 5 s here, 60 s by default, and sent again ≤ 20 s; drained ≤ 30 s;"
        " no execution repeated",
        act=wiped,
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        # Nothing is drained before it is found: lost for certain is what was sent 10 s before what is served now.
        bounds=Bounds(redone=0, drained_seconds=SENT_AGAIN_WITHIN_SECONDS + GRACE_SECONDS),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=20,
        title="failover to a replica",
        fault="SIGKILL of the master with messages on it; a Sentinel makes its replica the master",
        bound="what was written 2 s before is on the replica; every worker consumes ≤ 10 s; drained"
        " ≤ backlog / rate + 10 s; no execution repeated",
        act=failed_over,
        brokers=("redis",),
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=0),
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
