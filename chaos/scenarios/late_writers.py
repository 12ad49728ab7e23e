"""A scenario of workers that stand still in the middle of their work, and go on when others have done it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg2

from chaos.invariants.observed import Bounds
from chaos.polling import DeadlineMissed
from chaos.scenarios.processes import worker_with
from chaos.scenarios.scenario import Scenario
from chaos.stack import PROCESSES_OF
from chaos.stack_process import StackProcess
from chaos.trial import Trial, ports_of
from chaos.workload import text_of

ELSEWHERE_WITHIN_SECONDS = 20.0
STANDS_WITHIN_SECONDS = 10.0
SHORT, LONG = 12, 100_000
"""Words. A score of the longer text takes 0.4 s of a processor: between its reading and its writing there is time.

Who stands in a transaction for 10 s is cut off by PostgreSQL and begins anew, and is no late writer then.
"""
TRIES = 10
SOON = "100 milliseconds"
IN_HAND_WITHIN_SECONDS = 1.5
"""Then all processes may wait with scores of other resources: these are let through, and the lock is taken anew."""
NEWER_WITHIN_SECONDS = 9.0
"""Less than those 10 s; and a lease of 15 s, renewed every 5 s, has 10 s left in any case."""
LATE_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenBuild:
    """A score in the making: of this version of a resource, by one of the processes of a worker that stands still."""

    worker: StackProcess
    resource: str
    version: int
    call: str
    owner: str

    @property
    def pid(self) -> int:
        """An owner is `host:pid:id`."""
        return int(self.owner.split(":")[1])

    def __str__(self) -> str:
        return f"{self.worker.name} with version {self.version} read"


def freeze(trial: Trial) -> None:
    """Workers stand still and wake up too late: with a document in hand, and with a score whose input was read.

    A document has no versions, so nothing but ownership keeps its second effect out (I2). The score is of a version
    that is not the last any more: who is still the owner is stopped by that alone (I13), who is not by both.
    """
    for number in range(trial.rounds(3, fast=1)):
        _freeze_with_a_document(trial, f"/held/frozen-{number}")
    _freeze_within_its_lease(trial)
    _freeze_beyond_its_lease(trial)


def _freeze_with_a_document(trial: Trial, path: str) -> None:
    worker = worker_with(trial, path)
    with trial.fault("SIGSTOP of a worker with a task in hand, SIGCONT after its lease") as fault:
        if worker is None:
            fault.missed = f"nobody holds {path}"
            trial.documents.release(path)
            return
        trial.poll(
            lambda: trial.stops_between_transactions(worker),
            within_seconds=STANDS_WITHIN_SECONDS,
            what="it stands between transactions",
            every_seconds=0.02,
        )
        frozen = time.monotonic()
        successor = trial.arrival(path, 2)
        trial.measure("start elsewhere", successor.at - frozen if successor else None, at_most=ELSEWHERE_WITHIN_SECONDS)
        trial.documents.release(path)
        trial.poll(
            lambda: trial.tables.query(_IS_READ, trial.ledger.documents[trial.documents.url(path)]),
            within_seconds=30,
            what="the successor has read the document",
        )
        worker.resume()
    _expect_consuming(trial, worker)


def _freeze_within_its_lease(trial: Trial) -> None:
    """It owns the call still, and may end it: but what it has built is older than what is there."""
    with trial.fault(
        "SIGSTOP of a worker amid a build, SIGCONT within its lease, a newer version being built"
    ) as fault:
        build = _frozen_build(trial, words=SHORT)
        if build is None:
            fault.missed = "nobody was stopped while it read"
            return
        fault.name += f": {build}"
        fault.missed = _have_a_newer_one_built(trial, build)
        if not trial.tables.query(_IS_OWNED, build.call, build.owner):
            fault.missed = fault.missed or "its lease had run out"
        _wake(trial, build)
    late: list[tuple[int | None]] = []
    with suppress(DeadlineMissed):
        late = trial.poll(
            lambda: trial.tables.query(_EFFECT_OF, build.call, build.owner),
            within_seconds=LATE_WITHIN_SECONDS,
            what="the late call has ended",
        )
    trial.expect(late == [(None,)], f"the late build left effects of the versions {late}, and not one of none")
    _expect_consuming(trial, build.worker)


def _freeze_beyond_its_lease(trial: Trial) -> None:
    """The call was given to another and is done: nothing of this execution counts."""
    with trial.fault("SIGSTOP of a worker amid a build, SIGCONT after its lease, a newer version being built") as fault:
        build = _frozen_between_transactions(trial)
        if build is None:
            fault.missed = "nobody was stopped between reading and writing"
            return
        frozen = datetime.now().astimezone()
        fault.name += f": {build}"
        fault.missed = _have_a_newer_one_built(trial, build)
        successor: list[tuple[datetime]] = []
        with suppress(DeadlineMissed):
            successor = trial.poll(
                lambda: trial.tables.query(_DONE_BY_ANOTHER, build.call, build.owner),
                within_seconds=2 * ELSEWHERE_WITHIN_SECONDS,
                what="another has done the call",
            )
        seconds = (successor[0][0] - frozen).total_seconds() if successor else None
        trial.measure("start elsewhere", seconds, at_most=ELSEWHERE_WITHIN_SECONDS)
        _wake(trial, build)
    _expect_consuming(trial, build.worker)


def _frozen_build(trial: Trial, *, words: int) -> FrozenBuild | None:
    """A worker stopped amid a build, when it had read the resource and waited for the score that is known so far.

    None: however often it was tried, nobody came to it in time.
    """
    resource = trial.client.create(title="Scored late", content="Short.", left_alone=True)
    if resource is None:
        return None
    trial.poll(lambda: trial.tables.query(_BUILT, resource), within_seconds=30, what="the first score")
    for _ in range(TRIES):
        if not trial.tables.query(_IS_OPEN, resource):
            trial.client.edit(resource, content=text_of(trial.random, words=words))
        version = trial.ledger.entries[resource].version
        trial.poll(
            lambda: trial.tables.query(_IS_DUE, resource), within_seconds=30, what="it is due", every_seconds=0.02
        )
        call, owner, worker = _stopped_while_it_reads(trial, resource)
        if worker is not None:
            return FrozenBuild(worker=worker, resource=resource, version=version, call=call, owner=owner)
    return None


def _stopped_while_it_reads(trial: Trial, resource: str) -> tuple[str, str, StackProcess | None]:
    """Call, owner and worker. The lock is held for a moment only: scores of other resources wait for it too.

    The answer is there as soon as it is released, and the worker that it is for stands still.
    """
    with closing(psycopg2.connect(trial.ground.database_url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("LOCK TABLE quality_scores IN ACCESS EXCLUSIVE MODE")

        def begun() -> tuple[str, str] | None:
            [(call, state, owner)] = trial.tables.query(_LATEST, resource)
            if state == "running" and trial.tables.query(
                _WAITS_FOR_A_LOCK, ports_of(_pid_of(owner)), "SELECT quality_%"
            ):
                return call, owner
            return (call, "") if state == "done" else None

        try:
            call, owner = trial.poll(  # type: ignore[misc]  # it ends with a pair or not at all
                begun, within_seconds=IN_HAND_WITHIN_SECONDS, what="the score is begun", every_seconds=0.02
            )
        except DeadlineMissed:
            return "", "", None
        worker = trial.worker_of(_pid_of(owner)) if owner else None
        if worker is not None and not trial.stops_between_transactions(worker, but=_pid_of(owner)):
            worker = None
        return call, owner, worker


def _frozen_between_transactions(trial: Trial) -> FrozenBuild | None:
    """A worker of which only the process that builds goes on for a moment, until what it read from is over."""
    for _ in range(TRIES):
        build = _frozen_build(trial, words=LONG)
        if build is None:
            return None
        os.kill(build.pid, signal.SIGCONT)
        with suppress(DeadlineMissed):
            trial.poll(
                lambda of=build.pid: not trial.in_transaction(of),  # type: ignore[misc]  # bound at once
                within_seconds=LATE_WITHIN_SECONDS,
                what="it has read",
                every_seconds=0.002,
            )
        os.kill(build.pid, signal.SIGSTOP)
        build.worker.pause()
        if trial.tables.query(_IS_OWNED, build.call, build.owner) and not trial.in_transaction(build.pid):
            return build
        build.worker.resume()
    return None


def _have_a_newer_one_built(trial: Trial, build: FrozenBuild) -> str:
    """Edit until another worker has built a later version, since what is to build it may be sent to the frozen one.

    Why it was not; empty: it was.
    """

    def is_built() -> bool:
        if trial.tables.query(_BUILT_AFTER, build.resource, build.version):
            return True
        if not trial.tables.query(_WAITS, build.resource):
            trial.client.edit(build.resource, content=text_of(trial.random, words=SHORT))
        return False

    try:
        trial.poll(is_built, within_seconds=NEWER_WITHIN_SECONDS, what="a newer version is built")
    except DeadlineMissed as error:
        return str(error)
    return ""


def _wake(trial: Trial, build: FrozenBuild) -> None:
    """It goes on, and is seen to come as far as the row of the resource, which every build locks before it writes."""
    with closing(psycopg2.connect(trial.ground.database_url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SELECT 1 FROM resources WHERE id = %s::uuid FOR UPDATE", (build.resource,))
        build.worker.resume()
        with suppress(DeadlineMissed):
            trial.poll(
                lambda: trial.tables.query(_WAITS_FOR_A_LOCK, ports_of(build.pid), "SELECT resources.%"),
                within_seconds=LATE_WITHIN_SECONDS,
                what="the late build is about to be written",
                every_seconds=0.02,
            )
            return
    trial.expect(False, f"{build} did not come back to write it")


def _expect_consuming(trial: Trial, worker: StackProcess) -> None:
    found = trial.wait_until_consuming(within_seconds=30)
    trial.measure(f"{worker.name} consuming again", found[worker.name], at_most=20)


def _pid_of(owner: str) -> int:
    return int(owner.split(":")[1])


_IS_READ = "SELECT 1 FROM resources WHERE id::text = %s AND ingestion_status = 'completed'"
_LATEST = """
    SELECT id::text, state, owner FROM task_calls WHERE subject = %s::uuid AND kind = 'quality'
    ORDER BY created_at DESC LIMIT 1
"""
_BUILT = "SELECT 1 FROM effects WHERE subject = %s::uuid AND kind = 'quality'"
_BUILT_AFTER = f"{_BUILT} AND version > %s"
_IS_DUE = f"""
    SELECT 1 FROM task_calls WHERE subject = %s::uuid AND kind = 'quality'
    GROUP BY subject HAVING bool_and(state <> 'waiting' OR due_at <= now() + interval '{SOON}')
"""
_IS_OPEN = (
    "SELECT 1 FROM task_calls WHERE subject = %s::uuid AND kind = 'quality' AND state NOT IN ('done', 'superseded')"
)
_WAITS = "SELECT 1 FROM task_calls WHERE subject = %s::uuid AND kind = 'quality' AND state = 'waiting'"
_IS_OWNED = """
    SELECT 1 FROM task_calls WHERE id = %s::uuid AND owner = %s AND state = 'running' AND lease_until > now()
"""
_DONE_BY_ANOTHER = "SELECT started_at FROM task_calls WHERE id = %s::uuid AND owner <> %s AND state = 'done'"
_EFFECT_OF = "SELECT version FROM effects WHERE call_id = %s::uuid AND owner = %s"
# Of a query PostgreSQL shows the first 1024 bytes.
_WAITS_FOR_A_LOCK = """
    SELECT 1 FROM pg_stat_activity WHERE client_port = ANY(%s) AND wait_event_type = 'Lock' AND query LIKE %s
"""

SCENARIOS = (
    Scenario(
        number=17,
        title="worker frozen beyond its lease",
        fault="SIGSTOP of a worker with a task in hand; SIGCONT after another has done it; twice of one that has read"
        " what it scores, SIGCONT after a newer version is scored: within its lease, and after it",
        bound="the task runs elsewhere ≤ 20 s; each late effect is attempted and dropped;"
        " at most 2 executions repeated by each stop, as many as the worker has processes",
        act=freeze,
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone_each=PROCESSES_OF["worker"], consuming_seconds=20),
        breaks_lines=False,
        is_fast=True,
        needs_processors=True,
    ),
)
