"""Scenarios that break RabbitMQ in ways of its own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pika
import pika.exceptions

from chaos.invariants.observed import Bounds
from chaos.scenarios.broker_server import FINDS_LOST
from chaos.scenarios.dropped_connections import again_and_again
from chaos.scenarios.frozen_workers import frozen_workers
from chaos.scenarios.scenario import Scenario
from chaos.servers.rabbit import RabbitServer
from chaos.trial import Trial
from chaos.workload import COMPARED

ALARM_WITHIN_SECONDS = 20.0
ENDS_BEFORE_SECONDS = 3.0
MAY_HOLD_A_MESSAGE_MS = 2000
READERS = ("worker", "worker-2")
CLOSES_CHANNELS_WITHIN_SECONDS = 60.0
EXCHANGE = "dlx"
REPLACED = "batch"
"""A queue that nothing but canaries passes here: whoever is named in it stands still until it is right."""
SENT_AGAIN_WITHIN_SECONDS = 20.0
"""They are lost for certain when the queue has come to a call that was sent 10 s later."""
SERVED_WITHIN_SECONDS = 20.0
DIES_WITHIN_SECONDS = 60.0
NAMED_WITHIN_SECONDS = 60.0
TRIES = 5


def memory_alarm(trial: Trial) -> None:
    """RabbitMQ blocks every connection that publishes.

    One command sets the alarm and its end: a command is a second of a processor, beside which writes are slower.
    """
    server, seconds = _rabbit(trial), trial.rounds(30, fast=10)
    end = f"timer:apply_after({1000 * seconds}, vm_memory_monitor, set_vm_memory_high_watermark, [0.4])"
    server.ctl("eval", f"{{ok, _}} = {end}, vm_memory_monitor:set_vm_memory_high_watermark(0.00001).")
    with trial.fault("memory alarm") as fault:
        trial.poll(server.access.is_alarmed, within_seconds=ALARM_WITHIN_SECONDS, what="the alarm")
        trial.wait(seconds - ENDS_BEFORE_SECONDS)
        fault.missed = "" if server.access.is_alarmed() else "the alarm went off by itself"
        trial.poll(lambda: not server.access.is_alarmed(), within_seconds=ALARM_WITHIN_SECONDS, what="its end")


def topology_broken(trial: Trial) -> None:
    """Queues and the exchange are deleted under load, with what is in them; then a queue is of another kind.

    Workers stand still until the queue is gone: else it is empty most of the time, and nothing is lost with it. Each
    of them must come back to that queue: what it starts of its others says nothing, and one alone could empty it.
    """
    for queue in ("default", "ml_tasks")[: trial.rounds(2, fast=1)]:
        with frozen_workers(trial, queue) as backlog, trial.fault(f"queue {queue} deleted") as fault:
            with closing(_pika(trial)) as connection:
                lost = int(connection.channel().queue_delete(queue).method.message_count)
            fault.name += f" with {lost} messages in it"
            fault.missed = "" if lost else "it was empty"
        since = fault.ended
        seconds = replace(backlog, ready=lost).seconds_until_sent_again(trial, within_seconds=SENT_AGAIN_WITHIN_SECONDS)
        trial.measure(f"{lost} calls of {queue} sent again", seconds, at_most=SENT_AGAIN_WITHIN_SECONDS)
        found = trial.wait_until_consuming(within_seconds=2 * SERVED_WITHIN_SECONDS, since=since, queue=queue)
        for worker, after in found.items():
            trial.measure(f"{worker} consuming {queue} again", after, at_most=SERVED_WITHIN_SECONDS)
    with trial.fault(f"exchange {EXCHANGE} deleted"):
        with closing(_pika(trial)) as connection:
            connection.channel().exchange_delete(EXCHANGE)
        path = "/flaky/dead-without-exchange?fails=-1"  # rejected while there is nowhere to
        trial.observed.expected_dead.add(str(trial.client.ingest(trial.documents.url(path))))
        trial.poll(
            lambda: trial.tables.query(_IS_DEAD), within_seconds=DIES_WITHIN_SECONDS, what="the letter is in the tables"
        )
    with trial.fault(f"queue {REPLACED} declared with other arguments") as fault:
        for _ in range(TRIES):
            fault.missed = _declared_otherwise(trial)
            if not fault.missed:
                break
        trial.poll(lambda: _is_named(trial), within_seconds=NAMED_WITHIN_SECONDS, what="/readyz names the queue")
        with closing(_pika(trial)) as connection:
            connection.channel().queue_delete(REPLACED)
    trial.poll(lambda: not _is_named(trial), within_seconds=NAMED_WITHIN_SECONDS, what="/readyz has no complaint")


def _declared_otherwise(trial: Trial) -> str:
    """Why it is not: a worker was sooner. Empty: it is."""
    with closing(_pika(trial)) as connection:
        channel = connection.channel()
        channel.queue_delete(REPLACED)
        try:
            channel.queue_declare(REPLACED, durable=True, arguments={"x-max-priority": 3})
        except pika.exceptions.ChannelClosedByBroker as refusal:
            return str(refusal.reply_text)
    return ""


def _is_named(trial: Trial) -> bool:
    part = trial.stack.readiness().get("parts", {}).get("broker", {})
    return "inequivalent arg" in part.get("detail", "") and REPLACED in part["detail"]


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
    again_and_again(
        trial,
        "every connection closed",
        lambda: server.ctl("close_all_connections", "chaos"),
        starts=len(READERS),  # RabbitMQ gives the message to another worker, which cannot know that the first one lives
    )


def _rabbit(trial: Trial) -> RabbitServer:
    server = trial.ground.broker
    assert isinstance(server, RabbitServer)
    return server


def _pika(trial: Trial) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(trial.ground.broker_url))


def _times_closed(server: RabbitServer) -> int:
    return server.log.read_text(errors="replace").count("has timed out waiting for")


_IS_READ = "SELECT 1 FROM resources WHERE id::text = %s AND ingestion_status = 'completed'"
_IS_DEAD = "SELECT 1 FROM dead_letters WHERE closed_at IS NULL"

SCENARIOS = (
    Scenario(
        number=23,
        title="RabbitMQ's memory alarm",
        fault="publishers blocked for 30 s",
        bound="no write slower than 1.2 times, none fails; every worker consumes ≤ 10 s after the alarm",
        act=memory_alarm,
        brokers=("rabbitmq",),
        also=("I6", "I7", "I10"),
        is_idle_meanwhile=True,
        load=COMPARED,
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=24,
        title="topology broken",
        fault="two queues deleted under load with messages in them, then the exchange of dead letters; one queue"
        " declared otherwise",
        bound="every worker consumes ≤ 20 s, and every one that serves it from a deleted queue; what was in them is"
        " sent again ≤ 20 s and drained ≤ 30 s; /readyz names the other queue ≤ 60 s; at most 5 executions repeated",
        act=topology_broken,
        brokers=("rabbitmq",),
        also=("I3", "I6", "I10"),
        environment=FINDS_LOST,
        bounds=Bounds(redone=5, drained_seconds=30, consuming_seconds=20),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=25,
        title="consumer timeout",
        fault="a task takes longer than RabbitMQ's consumer_timeout of 2 s, three times",
        bound="the worker lives; the task is started once in each of two workers at most, its effect is one;"
        " at most 12 executions repeated",
        act=consumer_timed_out,
        brokers=("rabbitmq",),
        also=("I3", "I6", "I10"),
        # Three, and at each of the seven to nine closings what the worker's other process has in hand: the server takes
        # back what a channel holds, not only what was held too long.
        bounds=Bounds(redone=12),
        breaks_lines=False,
        breaks_broker=True,
    ),
    Scenario(
        number=26,
        title="connections closed by RabbitMQ",
        fault="all connections force-closed, 20 times",
        bound="two tasks in hand are started once in each of two workers at most; every worker consumes"
        " ≤ 10 s after the last; at most 18 executions repeated",
        act=connections_closed,
        brokers=("rabbitmq",),
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=18),  # eight tasks in hand, and what else is at each of 20 closings
        breaks_broker=True,
    ),
)
