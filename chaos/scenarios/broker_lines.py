"""Scenarios that break the lines to the broker."""

from __future__ import annotations

from urllib.parse import urlsplit

from chaos import faults
from chaos.faults import Fault
from chaos.invariants.observed import Bounds
from chaos.scenarios.scenario import Scenario
from chaos.servers.rabbit import RabbitServer
from chaos.stack import PROCESSES_OF
from chaos.trial import Trial
from chaos.workload import COMPARED, Load

WORKERS = ("worker", "worker-2", "ml-worker")
CONSUMERS = ("relay", *WORKERS)
USERS = ("api", *CONSUMERS)
REPEATED = "SELECT count(*) FROM task_calls WHERE starts > 1 AND task <> 'canary_task'"


def down_again_and_again(trial: Trial) -> None:
    """All processes lose the broker for five seconds, and each time every worker comes back."""
    for _ in range(trial.rounds(5, fast=2)):
        with trial.broken(trial.lines("broker", *USERS), faults.down()):
            trial.wait(5)
        found = trial.wait_until_consuming(within_seconds=20)
        for worker, seconds in found.items():
            trial.measure(f"{worker} consuming again", seconds, at_most=10)


def down(trial: Trial) -> None:
    """The broker is away for a minute while clients write."""
    with trial.broken(trial.lines("broker", *USERS), faults.down()):
        trial.wait(60)


def stalled(trial: Trial) -> None:
    """Data vanish in both directions; longer than three heartbeats of RabbitMQ and a lease on Redis."""
    with trial.broken(trial.lines("broker", *USERS), faults.stall()):
        trial.wait(trial.rounds(45, fast=22))


def reset_again_and_again(trial: Trial) -> None:
    """A client's connections end at their first data, and so does the one with which it comes back."""
    for _ in range(trial.rounds(30, fast=10)):
        [line] = trial.lines("broker", trial.random.choice(CONSUMERS))
        trial.wait_until_used(line)
        with trial.broken([line], faults.reset_peer()) as fault:
            trial.poll(fault.has_cut, within_seconds=20, what="a connection is cut")  # it may have nothing to say
            back = Fault.of_lines("the next one", [line])
            trial.poll(back.has_cut, within_seconds=20, what="who comes back is cut", every_seconds=0.02)


def deliveries_cut(trial: Trial) -> None:
    """The reply that brings a message to a worker is cut, at another byte each time."""
    for _ in range(trial.rounds(40, fast=12)):
        [line] = trial.lines("broker", trial.random.choice(WORKERS))
        trial.wait_until_used(line)
        way = faults.limit_data(after_bytes=trial.random.randrange(1500), streams=("downstream",))
        with trial.broken([line], way) as fault:
            trial.poll(fault.has_cut, within_seconds=20, what="a connection is cut")


def nothing_was_lost(trial: Trial) -> None:
    """The relay has had the time to miss what the broker no longer has."""
    trial.expect(
        _counted(trial, "redispatched_total") == 0, "the broker lost a message: the relay had to send it again"
    )
    if trial.lines("broker", "worker")[0].protocol == "redis":  # a lost connection ends no lease
        repeated = int(trial.tables.one(REPEATED))
        trial.expect(repeated == 0, f"{repeated} calls were started again, though their workers lived")


def nothing_was_taken_over(trial: Trial) -> None:
    """A slow line is no dead worker. Redis counts the leases that run out; RabbitMQ has none, and counts what it
    delivers again because a connection ended, at three missed heartbeats say.
    """
    trial.expect(_counted(trial, "lease_lost_total") == 0, "a lease was lost")
    redelivered = _redelivered(trial)
    trial.expect(redelivered == 0, f"RabbitMQ delivered {redelivered} messages again")


def _redelivered(trial: Trial) -> int:
    """By RabbitMQ's own count; nobody can ask one that is an operator's."""
    server = trial.ground.own_broker
    if not isinstance(server, RabbitServer):
        return 0
    vhost = urlsplit(trial.ground.contents_url).path.removeprefix("/")
    stats = server.access.management("GET", f"/api/vhosts/{vhost}").get("message_stats", {})
    trial.expect(stats.get("ack", 0) > 0, "RabbitMQ counts nothing")
    return int(stats.get("redeliver", 0))


def _counted(trial: Trial, name: str) -> int:
    return int(trial.tables.one("SELECT coalesce(max(value), 0) FROM counters WHERE name = %s", name))


def slow(trial: Trial) -> None:
    """A long and shaky line, for a minute."""
    with trial.broken(trial.lines("broker", *USERS), faults.latency(milliseconds=500, jitter=300)):
        trial.wait(60)


def narrow(trial: Trial) -> None:
    """Five kilobytes a second."""
    with trial.broken(trial.lines("broker", *USERS), faults.bandwidth(kilobytes_per_second=5)):
        trial.wait(20)


def sliced(trial: Trial) -> None:
    """Five bytes a packet."""
    with trial.broken(trial.lines("broker", *USERS), faults.slicer(average_bytes=5)):
        trial.wait(20)


SCENARIOS = (
    Scenario(
        number=2,
        title="broker down, again and again",
        fault="all lines to the broker down for 5 s, five times",
        bound="every worker consumes ≤ 10 s after each healing",
        act=down_again_and_again,
        also=("I6", "I10"),
        is_fast=True,
    ),
    Scenario(
        number=3,
        title="broker down for long",
        fault="all lines to the broker down for 60 s, clients write on",
        bound="drained ≤ backlog / rate + 10 s; no write slower",
        act=down,
        also=("I6", "I7", "I8", "I10"),
        is_idle_meanwhile=True,
        load=Load(writes=300, per_second=5),
    ),
    Scenario(
        number=4,
        title="broker silent",
        fault="data to and from the broker vanish for 45 s, connections stay",
        bound="every worker consumes ≤ 20 s after healing; no write slower; at most 5 executions repeated, as many as"
        " can be in hand",
        act=stalled,
        also=("I3", "I7", "I10"),
        is_idle_meanwhile=True,
        load=COMPARED,
        bounds=Bounds(consuming_seconds=20, redone=sum(PROCESSES_OF.values())),
        is_fast=True,
    ),
    Scenario(
        number=6,
        title="reset on reconnect",
        fault="the connections of one client end at their first data until one with which it came back has, 30 times",
        bound="effects once, no process ends, drained ≤ backlog / rate + 10 s",
        act=reset_again_and_again,
        also=("I6",),
        is_fast=True,
    ),
    Scenario(
        number=7,
        title="deliveries cut",
        fault="the reply that brings a message is cut after 0 to 1500 bytes, 40 times",
        bound="the broker loses nothing: no call is sent again as lost; on RabbitMQ at most one execution repeated for"
        " four cuts, on Redis none",
        act=deliveries_cut,
        afterwards=nothing_was_lost,
        also=("I3", "I6"),
        bounds=Bounds(redone_each=0.25),  # a cut may find two in hand, and mostly finds none: they take milliseconds
        environment={"RELAY_LOST_AFTER_SECONDS": "5"},  # what was lost is missed before the end
        is_fast=True,
    ),
    Scenario(
        number=9,
        title="slow line",
        fault="500 ± 300 ms each way to the broker for 60 s",
        bound="no write slower; nothing is taken over from a living worker: redone 0; on Redis no lease"
        " lost, on RabbitMQ, which has none, no message delivered again (of one of yours, that is not known)",
        act=slow,
        afterwards=nothing_was_taken_over,
        also=("I3", "I6", "I7"),
        load=COMPARED,
        bounds=Bounds(redone=0),
    ),
    Scenario(
        number=11,
        title="narrow line",
        fault="5 KB/s to and from the broker for 20 s; texts of 50 KB, of which messages carry the ids",
        bound="drained ≤ backlog / rate + 10 s",
        act=narrow,
        also=("I6",),
        load=Load(writes=60, per_second=3, words=6000),
    ),
    Scenario(
        number=12,
        title="line in slices",
        fault="packets of 5 bytes to and from the broker for 20 s",
        bound="drained ≤ backlog / rate + 10 s",
        act=sliced,
        also=("I6",),
    ),
)
