"""Scenarios of work that fails, is repeated, or comes all at once."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
import psycopg2

from chaos import faults
from chaos.client import LedgerClient
from chaos.faults import Fault
from chaos.invariants.observed import Bounds
from chaos.polling import DeadlineMissed
from chaos.scenarios.broker_lines import USERS
from chaos.scenarios.scenario import Scenario
from chaos.stack import PROCESSES_OF
from chaos.stack_process import StackProcess
from chaos.trial import Trial
from chaos.workload import text_of

FIRST_DELAY_SECONDS = 1.0
MAX_RETRIES = 3
TRIED_AGAIN_WITHIN_SECONDS = 10.0
EDITS, EDITED, WRITERS = 500, 20, 10
FEWER_EDITS = 250
TOGETHER = 0.4
"""The share of them after which half of the resources are left alone until their debounce is over."""
IN_HAND_WITHIN_SECONDS = 20.0
EDITED_WITHIN_SECONDS, FEWER_WITHIN_SECONDS = 12, 8
"""12 s with debounces doubled: the index of a resource that is edited on and on is built after 6 times 2 s.

The list says 3 s. An edit costs the API 9 ms of its one process: 500 took 4.5 s with ten clients on two cores that did
little else (5.3 s with five, 6.1 s with twenty), with one word each as with twelve, and with everybody but the API and
PostgreSQL stopped. The clients themselves used 0.5 s. With both brokers' runs beside each other they take up to 11 s.
"""


def dependency_fails(trial: Trial) -> None:
    """Pages that fail three times and then work, and pages that never do."""
    passing = [f"/flaky/passing-{number}?fails={MAX_RETRIES}" for number in range(trial.rounds(20, fast=17))]
    lasting = [f"/flaky/lasting-{number}?fails=-1" for number in range(3)]
    with trial.fault("a dependency fails"):
        for path in passing:
            trial.client.ingest(trial.documents.url(path))
        for path in lasting:
            trial.observed.expected_dead.add(str(trial.client.ingest(trial.documents.url(path))))
        delays: dict[tuple[str, int], float] = {}

        def all_ended() -> bool:
            delays.update({(call, attempt): float(delay) for call, attempt, delay in trial.tables.query(_DELAYS)})
            return _letters(trial) == len(lasting) and trial.tables.pending_ingestions() == 0

        trial.poll(all_ended, within_seconds=120, what="every page is read or given up", every_seconds=0.05)
    _expect_backoff(trial, delays, pages=len(passing) + len(lasting))
    for path in (*passing, *lasting):
        count = len(trial.documents.arrivals(path))
        trial.expect(count == MAX_RETRIES + 1, f"{path} was tried {count} times")
    for (history,) in trial.tables.query("SELECT history FROM dead_letters"):
        attempts = [entry["attempt"] for entry in history]
        trial.expect(attempts == [1, 2, 3, 4], f"the history of a dead letter has the attempts {attempts}")


def retry_while_the_broker_is_down(trial: Trial) -> None:
    """Tasks fail, and are to be tried again, when there is no broker."""
    for number in range(trial.rounds(3, fast=1)):
        paths = [f"/held/retried-{number}-{one}?fails=1" for one in range(2)]
        for path in paths:
            trial.client.ingest(trial.documents.url(path))
        arrived = [trial.arrival(path, 1) for path in paths]
        trial.expect(None not in arrived, "not every page was asked for before the fault")
        with trial.broken(trial.lines("broker", *USERS), faults.down()):
            for path in paths:
                trial.documents.release(path)
            trial.wait(4)
        healed = time.monotonic()
        for path in paths:
            again = trial.arrival(path, 2)
            trial.measure("tried again", again.at - healed if again else None, at_most=TRIED_AGAIN_WITHIN_SECONDS)


class Edits:
    """Which resource is edited next, in turn: all, then those not left alone, and once it is `resumed` all again.

    In turn, since of those that are drawn one is left alone too long now and then, and built once more. At least
    `least` edits, and three of each when all are edited again.
    """

    def __init__(self, resources: Sequence[str], *, least: int) -> None:
        self._resources = resources
        self._least = least
        self._numbers = itertools.count()
        self._resumed_at: int | None = None
        self.given = 0

    @property
    def are_left_alone(self) -> bool:
        """Whether the second half of the resources is not edited now, so that its debounce runs out."""
        return self._resumed_at is None and self.given >= self._least * TOGETHER

    def resume(self) -> None:
        """From now on all are edited again."""
        self._resumed_at = self.given

    def next(self) -> str | None:
        """The resource; None: it is enough. Any thread may ask."""
        number = next(self._numbers)
        if self._resumed_at is not None and number >= max(self._least, self._resumed_at + 3 * EDITED):
            return None
        among = EDITED // 2 if self.are_left_alone else EDITED
        self.given = number + 1
        return self._resources[number % among]


def many_edits(trial: Trial) -> None:
    """500 edits of 20 resources as fast as they go; relay and worker are killed in the middle, with calls of half of
    these in hand: they are left alone until their debounce is over, and edited again while their calls are open.
    """
    seed, least = trial.random.getrandbits(64), trial.rounds(EDITS, fast=FEWER_EDITS)
    at_most = trial.rounds(EDITED_WITHIN_SECONDS, fast=FEWER_WITHIN_SECONDS)
    ids = [trial.client.create(title="Edited", content=text_of(trial.random, words=12)) for _ in range(EDITED)]
    trial.poll(trial.tables.has_converged, within_seconds=60, what="all are built for the first time")
    edits = Edits([one for one in ids if one is not None], least=least)

    def write(number: int) -> float:
        """When its last edit was answered."""
        source = random.Random(seed + number)
        with closing(LedgerClient(trial.stack.url, trial.ledger)) as client:
            while (resource_id := edits.next()) is not None:
                client.edit(resource_id, content=text_of(source, words=12))
        return time.monotonic()

    with trial.fault(f"relay and worker killed amid {least} edits") as fault, ThreadPoolExecutor(WRITERS) as pool:
        before, begun = trial.ledger.accepted, time.monotonic()
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        try:
            trial.poll(lambda: edits.are_left_alone, within_seconds=60, what="half are left alone", every_seconds=0.01)
            victims = _kill_with_calls_in_hand(trial, fault)
        finally:
            edits.resume()
        for process in victims:
            trial.start(process)
        trial.poll(lambda: all(one.done() for one in writers), within_seconds=60, what="all are accepted")
        took = max(one.result() for one in writers) - begun  # relay and worker may take longer to come back
        edited = trial.ledger.accepted - before
        fault.name += f"; {edited} accepted in {took:.1f} s, {edited / took:.0f} a second"
        if took > at_most or edited < least:
            fault.missed = f"{least} edits in {at_most} s are asked for"


def _kill_with_calls_in_hand(trial: Trial, fault: Fault) -> tuple[StackProcess, ...]:
    """The relay, and a worker all of whose processes build the index, which has no end while nobody can write there."""
    with closing(psycopg2.connect(trial.ground.database_url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("LOCK TABLE search_documents IN SHARE MODE")
        try:
            worker, *_ = trial.poll(
                lambda: [one for one in trial.stack.workers if _in_hand(trial, _pool(one)) == PROCESSES_OF["worker"]],
                within_seconds=IN_HAND_WITHIN_SECONDS,
                what="all processes of a worker build the index",
                every_seconds=0.01,
            )
        except DeadlineMissed as error:
            fault.missed = str(error)
            return ()
        pool = _pool(worker)
        trial.kill(trial.stack.relay)
        trial.kill(worker)
        in_hand = _in_hand(trial, pool)
        states = dict(trial.tables.query(_INDEXING))
    fault.name += f": {worker.name} with {in_hand} builds in hand, " + ", ".join(
        f"{states.get(state, 0)} {state}" for state in ("claimed", "sent", "running")
    )
    fault.missed = "" if in_hand else "the worker had ended its builds"
    return trial.stack.relay, worker


def _pool(worker: StackProcess) -> list[str]:
    return [str(child.pid) for child in psutil.Process(worker.pid).children(recursive=True)]


def _in_hand(trial: Trial, pool: list[str]) -> int:
    """Builds of the index in these processes."""
    return int(trial.tables.one(_BUILT_BY, pool))


def replay_dead_letters(trial: Trial) -> None:
    """Fifty pages fail for good; their server is repaired, and all are replayed."""
    count = 50
    with trial.fault("a dependency is away for good, then repaired, and everything replayed"):
        for number in range(count):
            trial.client.ingest(trial.documents.url(f"/flaky/dead-{number}?fails=-1"))
        trial.poll(lambda: _letters(trial) == count, within_seconds=120, what=f"{count} dead letters")
        trial.documents.repaired.set()
        answer = trial.client.ask("POST", "/dead-letters/replay")
        trial.expect(answer["replayed"] == count, f"replayed {answer['replayed']} of {count}")
        again = trial.client.ask("POST", "/dead-letters/replay")
        trial.expect(again["replayed"] == 0, f"a second replay woke {again['replayed']} more")
        trial.poll(
            lambda: trial.tables.pending_ingestions() == 0, within_seconds=60, what="all are read in the second life"
        )
    for number in range(count):
        asked = len(trial.documents.arrivals(f"/flaky/dead-{number}"))
        trial.expect(asked == MAX_RETRIES + 2, f"page {number} was asked for {asked} times in its two lives")


def _letters(trial: Trial) -> int:
    return int(trial.tables.one("SELECT count(*) FROM dead_letters WHERE closed_at IS NULL"))


def _expect_backoff(trial: Trial, delays: dict[tuple[str, int], float], *, pages: int) -> None:
    """Each delay as it stood in the row; of some that were over at once there was nothing to see.

    Each is drawn between nothing and twice the most of the time before: that none of 20 is longer than that most
    happens once in a million times.
    """
    for attempt in range(1, MAX_RETRIES + 1):
        most = FIRST_DELAY_SECONDS * 2 ** (attempt - 1)
        seen = [delay for (_, which), delay in delays.items() if which == attempt]
        longest = max(seen, default=0)
        trial.expect(len(seen) >= pages / 2, f"only {len(seen)} delays of retry {attempt} were seen")
        trial.expect(longest <= most + 0.1, f"retry {attempt} was put off {longest:.1f} s")
        grows = attempt == 1 or longest > most / 2
        trial.expect(grows, f"retry {attempt} has no backoff: {longest:.2f} s at most, as the one before")
        spread = longest - min(seen, default=0)
        trial.expect(spread > most / 10, f"retry {attempt} has no jitter: {sorted(seen)}")


# From the failure to the time when the call is due again.
_DELAYS = """
    SELECT id::text, attempts, extract(epoch FROM due_at - (history->-1->>'at')::timestamptz) FROM task_calls
    WHERE task = 'ingest_resource_task' AND state = 'waiting' AND attempts > 0
"""

# An owner is `host:pid:id`.
_BUILT_BY = """
    SELECT count(*) FROM task_calls
    WHERE kind = 'search_index' AND state = 'running' AND split_part(owner, ':', 2) = ANY(%s)
"""
_INDEXING = "SELECT state, count(*) FROM task_calls WHERE kind = 'search_index' GROUP BY state"

SCENARIOS = (
    Scenario(
        number=27,
        title="dependency fails",
        fault="pages answer 503 three times and then work; three pages never do",
        bound="backoff of at most 1, 2, 4 s with jitter; the last are dead letters with four attempts in their history",
        act=dependency_fails,
        also=("I6",),
        environment={"RETRY_FIRST_DELAY_SECONDS": str(FIRST_DELAY_SECONDS)},
        breaks_lines=False,
        is_fast=True,
    ),
    Scenario(
        number=28,
        title="retry without a broker",
        fault="tasks fail while all lines to the broker are down for 4 s",
        bound="each is tried again ≤ 10 s after healing; every worker consumes ≤ 10 s; drained ≤ 10 s + backlog / rate",
        act=retry_while_the_broker_is_down,
        also=("I6", "I10"),
        is_fast=True,
        needs_processors=True,
    ),
    Scenario(
        number=29,
        title="many edits of few resources",
        fault=f"{EDITS} edits of {EDITED} resources by {WRITERS} clients in {EDITED_WITHIN_SECONDS} s at most, ≥ 42 a"
        f" second (fast: {FEWER_EDITS} in {FEWER_WITHIN_SECONDS} s); relay and worker killed in the middle, while the"
        " worker builds the index of resources that are edited again at once",
        bound="at most 2 runs for each resource and kind, the last of the last state; at most 2 executions repeated, as"
        " many as the worker has processes",
        act=many_edits,
        also=("I3", "I12"),
        load=None,
        environment={"DEBOUNCE_SCALE": "2"},
        bounds=Bounds(redone=PROCESSES_OF["worker"]),
        writes_fast=True,
        breaks_lines=False,
        is_fast=True,
    ),
    Scenario(
        number=36,
        title="dead letters replayed",
        fault="50 pages fail for good; the cause is repaired; all are replayed",
        bound="50 dead letters ≤ 120 s, all replayed and read ≤ 60 s, each effect once, none left",
        act=replay_dead_letters,
        also=("I6",),
        environment={"RETRY_FIRST_DELAY_SECONDS": "0.1"},
        breaks_lines=False,
        is_fast=True,
    ),
)
