"""Scenarios of work that fails, is repeated, or comes all at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from chaos import faults
from chaos.client import LedgerClient
from chaos.invariants.observed import Bounds
from chaos.scenarios.broker_lines import USERS
from chaos.scenarios.scenario import Scenario
from chaos.trial import Trial
from chaos.workload import text_of

FIRST_DELAY_SECONDS = 1.0
MAX_RETRIES = 3
TRIED_AGAIN_WITHIN_SECONDS = 10.0
EDITS, EDITED, WRITERS = 500, 20, 10
FEWER_EDITS = 250
EDITED_WITHIN_SECONDS, FEWER_WITHIN_SECONDS = 12, 8
"""12 s with debounces doubled: the index of a resource that is edited on and on is built after 6 times 2 s.

The list says 3 s. An edit costs the API 9 ms of its one process: 500 took 4.5 s with ten clients on two cores that did
little else (5.3 s with five, 6.1 s with twenty), with one word each as with twelve, and with everybody but the API and
PostgreSQL stopped. The clients themselves used 0.5 s. With both brokers' runs beside each other they take up to 11 s.
"""


def dependency_fails(trial: Trial) -> None:
    """Pages that fail three times and then work, and pages that never do."""
    passing = [f"/flaky/passing-{number}?fails={MAX_RETRIES}" for number in range(trial.rounds(20, fast=6))]
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


def many_edits(trial: Trial) -> None:
    """500 edits of 20 resources as fast as they go; relay and worker are killed in the middle."""
    source, count = trial.random, trial.rounds(EDITS, fast=FEWER_EDITS)
    at_most = trial.rounds(EDITED_WITHIN_SECONDS, fast=FEWER_WITHIN_SECONDS)
    ids = [
        trial.client.create(title="Edited", content=text_of(source, words=12), creator="Ledger, Ada")
        for _ in range(EDITED)
    ]
    known = [one for one in ids if one is not None]
    trial.poll(trial.tables.has_converged, within_seconds=60, what="all are built for the first time")
    shares = [
        [(source.choice(known), text_of(source, words=12)) for _ in range(count // WRITERS)] for _ in range(WRITERS)
    ]

    def edit(share: list[tuple[str, str]]) -> None:
        with closing(LedgerClient(trial.stack.url, trial.ledger)) as client:
            for resource_id, text in share:
                client.edit(resource_id, content=text)

    name = f"relay and worker killed amid {count} edits"
    with trial.fault(name) as fault, ThreadPoolExecutor(WRITERS) as pool:
        before, begun = trial.ledger.accepted, time.monotonic()
        edits = [pool.submit(edit, share) for share in shares]
        trial.poll(
            lambda: trial.ledger.accepted - before >= count // 2,
            within_seconds=60,
            what="half are accepted",
            every_seconds=0.01,
        )
        victims = (trial.stack.relay, trial.stack.worker)
        for process in victims:
            trial.kill(process)
        trial.poll(lambda: all(one.done() for one in edits), within_seconds=60, what="all are accepted")
        took = time.monotonic() - begun
        edited = trial.ledger.accepted - before
        fault.name = f"{name}: {edited} accepted in {took:.1f} s, {edited / took:.0f} a second"
        fault.missed = f"at most {at_most} s are allowed" if took > at_most or edited < count else ""
        for process in victims:
            trial.start(process)


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


def _letters(trial: Trial) -> int:
    return int(trial.tables.one("SELECT count(*) FROM dead_letters WHERE closed_at IS NULL"))


def _expect_backoff(trial: Trial, delays: dict[tuple[str, int], float], *, pages: int) -> None:
    """Each delay as it stood in the row; of some that were over at once there was nothing to see."""
    for attempt in range(1, MAX_RETRIES + 1):
        most = FIRST_DELAY_SECONDS * 2 ** (attempt - 1)
        seen = [delay for (_, which), delay in delays.items() if which == attempt]
        trial.expect(len(seen) >= pages / 2, f"only {len(seen)} delays of retry {attempt} were seen")
        trial.expect(max(seen, default=0) <= most + 0.1, f"retry {attempt} was put off {max(seen, default=0):.1f} s")
        spread = max(seen, default=0) - min(seen, default=0)
        trial.expect(spread > most / 10, f"retry {attempt} has no jitter: {sorted(seen)}")


# From the failure to the time when the call is due again.
_DELAYS = """
    SELECT id::text, attempts, extract(epoch FROM due_at - (history->-1->>'at')::timestamptz) FROM task_calls
    WHERE task = 'ingest_resource_task' AND state = 'waiting' AND attempts > 0
"""


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
    ),
    Scenario(
        number=29,
        title="many edits of few resources",
        fault=f"{EDITS} edits of {EDITED} resources by {WRITERS} clients in {EDITED_WITHIN_SECONDS} s at most, ≥ 42 a"
        f" second (fast: {FEWER_EDITS} in {FEWER_WITHIN_SECONDS} s); relay and worker killed in the middle",
        bound="at most 2 runs for each resource and kind, the last of the last state; at most 10 executions repeated",
        act=many_edits,
        also=("I3", "I12"),
        load=None,
        environment={"DEBOUNCE_SCALE": "2"},
        bounds=Bounds(redone=10),
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
