"""Scenarios that kill processes."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import psutil

from chaos import faults
from chaos.broker_contents import QUEUES
from chaos.invariants.observed import Bounds
from chaos.scenarios.broker_lines import REPEATED, USERS
from chaos.scenarios.scenario import PROCESSES, Scenario
from chaos.stack import PROCESSES_OF
from chaos.stack_process import StackProcess
from chaos.trial import Trial

MAX_DELIVERIES = 5
# The start that follows the last delivery only buries it. Who dies with a worker was in another of its processes.
REPEATED_BY_POISON = 2 * MAX_DELIVERIES + (MAX_DELIVERIES - 1) * (PROCESSES_OF["worker"] - 1)
GRACE_SECONDS = 3.0
ASKED_TO_END_SECONDS = 1.0
POISON_IS_DEAD_WITHIN_SECONDS = 180.0
TICKED_WITHIN = timedelta(seconds=1)
"""Of a second that is no longer ago, the tick may be in the hand of a beat."""


def kill_workers(trial: Trial) -> None:
    """A worker dies with a document in hand; another one takes the document up."""
    for number in range(trial.rounds(10, fast=3)):
        path = f"/held/worker-{number}"
        worker = worker_with(trial, path)
        with trial.fault("SIGKILL of a worker with a task in hand") as fault:
            if worker is None:
                fault.missed = f"nobody holds {path}"
                trial.documents.release(path)
                continue
            killed = time.monotonic()
            trial.kill(worker)
            successor = trial.arrival(path, 2)
        trial.measure("start elsewhere", successor.at - killed if successor else None, at_most=5)
        trial.documents.release(path)
        trial.start(worker)


def roll_workers(trial: Trial) -> None:
    """Every worker is asked to end, ends, and is started again; each time also one with a task in hand, which it ends
    first. Then one is asked with a task in hand, and killed.
    """
    for number in range(trial.rounds(3, fast=1)):
        for worker in trial.stack.workers:
            with trial.fault(f"SIGTERM of {worker.name}"):
                trial.end(worker)
                trial.start(worker)
        _end_with_a_task_in_hand(trial, f"/held/patient-{number}")
    repeated = int(trial.tables.one(REPEATED))
    trial.expect(repeated == 0, f"{repeated} calls were started again though their worker ended in peace")
    path = "/held/impatient"
    impatient = worker_with(trial, path)
    with trial.fault("SIGTERM of a worker with a task in hand, SIGKILL after its grace") as fault:
        if impatient is None:
            fault.missed = f"nobody holds {path}"
            return
        impatient.ask_to_end()
        trial.wait(GRACE_SECONDS)
        fault.missed = "" if impatient.running else "it ended without its task"
        killed = time.monotonic()
        trial.kill(impatient)
        successor = trial.arrival(path, 2)
    trial.measure("start elsewhere", successor.at - killed if successor else None, at_most=5)
    trial.documents.release(path)
    trial.start(impatient)


def _end_with_a_task_in_hand(trial: Trial, path: str) -> None:
    patient = worker_with(trial, path)
    with trial.fault("SIGTERM of a worker with a task in hand, which it ends first") as fault:
        if patient is None:
            fault.missed = f"nobody holds {path}"
        else:
            trial.let_end((patient,))
            patient.ask_to_end()
            trial.wait(ASKED_TO_END_SECONDS)
            fault.missed = "" if patient.running else "it ended without its task"
        trial.documents.release(path)
        if patient is not None:
            trial.end(patient)
            trial.start(patient)
    count = len(trial.documents.arrivals(path))
    trial.expect(count == 1, f"{path} was asked for {count} times though its worker ended in peace")


def two_beats(trial: Trial) -> None:
    """The broker is away while two beats tick; whatever the clock had them tick is there, once."""
    with trial.broken(trial.lines("broker", *USERS), faults.down()):
        since = datetime.now(UTC)
        trial.wait(trial.rounds(60, fast=10))
        until = datetime.now(UTC) - TICKED_WITHIN
    ticked = dict(trial.tables.query(_TICKS, since, until))
    wanted = range(math.ceil(since.timestamp()), math.floor(until.timestamp()) + 1)  # one a second
    trial.expect(len(ticked) == len(QUEUES), f"canaries tick of {sorted(ticked)}")
    for name, ticks in ticked.items():
        missing = sorted(set(wanted) - set(ticks))
        trial.expect(not missing, f"{name} left out {len(missing)} of {len(wanted)} ticks: {missing[:5]}")
    strays = int(trial.tables.one(_CALLS_OF_NO_TICK))
    trial.expect(strays == 0, f"{strays} calls of canaries belong to no tick: somebody ticked twice")


def kill_children(trial: Trial) -> None:
    """A pool process dies with a document in hand; its worker lives."""
    for number in range(trial.rounds(10, fast=4)):
        path = f"/held/child-{number}"
        trial.client.ingest(trial.documents.url(path))
        holder = trial.arrival(path, 1)
        with trial.fault("SIGKILL of a pool process with a task in hand") as fault:
            if holder is None or not holder.pid:
                fault.missed = f"nobody holds {path}"
                trial.documents.release(path)
                continue
            killed = time.monotonic()
            psutil.Process(holder.pid).kill()
            successor = trial.arrival(path, 2)
        trial.measure("start again", successor.at - killed if successor else None, at_most=2)
        trial.documents.release(path)


def poison(trial: Trial) -> None:
    """Two documents kill whoever reads them, among many that do not."""
    trial.kept_up = {worker.name for worker in trial.stack.workers}
    paths = ("/poison/child/one", "/poison/worker/one")
    with trial.fault("documents that kill whoever reads them") as fault:
        for path in paths:
            trial.observed.expected_dead.add(str(trial.client.ingest(trial.documents.url(path))))
        for number in range(trial.rounds(500, fast=60)):
            trial.client.ingest(trial.documents.url(f"/page/good-{number}"))
            trial.keep_up()
        trial.poll(
            lambda: set(trial.observed.expected_dead) <= _dead_subjects(trial),
            within_seconds=POISON_IS_DEAD_WITHIN_SECONDS,
            what="the poison is dead",
        )
        for worker in trial.stack.workers:  # it is healed when whoever was killed is back
            trial.wait_until_beating(worker)
        fault.missed = "" if trial.documents.killed else "nobody was killed"
    for path in paths:
        count = len(trial.documents.arrivals(path))
        trial.expect(
            count <= MAX_DELIVERIES, f"{path} was delivered {count} times, at most {MAX_DELIVERIES} are allowed"
        )


def worker_with(trial: Trial, path: str) -> StackProcess | None:
    """Ask for a document, and wait for the worker that has it in hand; None: none came."""
    trial.client.ingest(trial.documents.url(path))
    holder = trial.arrival(path, 1)
    return trial.worker_of(holder.pid) if holder else None


def _dead_subjects(trial: Trial) -> set[str]:
    return {one for (one,) in trial.tables.query("SELECT subject::text FROM dead_letters WHERE closed_at IS NULL")}


_TICKS = """
    SELECT name, array_agg(extract(epoch FROM tick)::bigint) FROM schedule_ticks
    WHERE name LIKE 'canary%%' AND tick BETWEEN %s AND %s GROUP BY name
"""
_CALLS_OF_NO_TICK = """
    SELECT count(*) FROM task_calls c
    WHERE c.task = 'canary_task' AND NOT EXISTS (SELECT 1 FROM schedule_ticks t WHERE t.call_id = c.id)
"""

SCENARIOS = (
    Scenario(
        number=13,
        title="worker killed",
        fault="SIGKILL of a whole worker with a task in hand, ten times",
        bound="the task runs elsewhere ≤ 5 s; at most 2 executions repeated by each kill, as many as the worker has"
        " processes",
        act=kill_workers,
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone_each=PROCESSES_OF["worker"]),
        breaks_lines=False,
        is_fast=True,
        needs_processors=True,
    ),
    Scenario(
        number=14,
        title="pool process killed",
        fault="SIGKILL of one pool process with a task in hand, ten times",
        bound="the task starts again ≤ 2 s; at most one execution repeated by each kill",
        act=kill_children,
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone_each=1),
        breaks_lines=False,
        is_fast=True,
        needs_processors=True,
    ),
    Scenario(
        number=15,
        title="poison",
        fault="one document kills its pool process, one its whole worker, each time; 500 good ones beside them",
        bound="the poison is a dead letter after at most 5 deliveries and 180 s; the good are done, with all that is"
        " derived from them, ≤ 120 s later; at most 14 executions repeated: 5 of each poison, and of what"
        " else the worker has in hand at its first 4 deaths, for in the fifth its poison is alone",
        act=poison,
        also=("I3", "I6", "I10"),
        # Of the usual bound's backlog most is not there yet at healing: each document that is read has six calls made.
        bounds=Bounds(redone=REPEATED_BY_POISON, drained_seconds=120),
        breaks_lines=False,
        is_fast=True,
        needs_processors=True,
    ),
    Scenario(
        number=16,
        title="workers rolled",
        fault="SIGTERM of every worker in turn and of one with a task in hand, which it ends first, three times;"
        " SIGTERM of one with a task in hand, SIGKILL after 3 s",
        bound="no task is repeated by a warm stop; after the kill it runs elsewhere ≤ 5 s;"
        " at most 2 executions repeated, as many as it has processes",
        act=roll_workers,
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone=PROCESSES_OF["worker"]),
        breaks_lines=False,
        needs_processors=True,
    ),
    Scenario(
        number=30,
        title="two beats without a broker",
        fault="all lines to the broker down for 60 s while two beats tick",
        bound="of four schedules the tick of each second is there, and no call has none; every worker consumes ≤ 10 s",
        act=two_beats,
        also=("I6", "I10"),
        environment={"CANARY_INTERVAL_SECONDS": "1"},
        processes=(*PROCESSES, "beat-2"),
        needs_processors=True,
    ),
)
