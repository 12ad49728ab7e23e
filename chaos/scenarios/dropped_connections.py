"""Connections that the server drops, seen from the line of a worker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from chaos.faults import Fault
from chaos.polling import DeadlineMissed
from chaos.trial import Trial

DROPS = 20
DROPS_EACH = 5
HELD_FOR_SECONDS = 9.0
"""Then a page is answered, whether it saw five drops or fewer: who asks for it gives up after 15 s, and asks again."""
READ_WITHIN_SECONDS = 30.0
ARE_READ = "SELECT count(*) FROM resources WHERE id::text = ANY(%s) AND ingestion_status = 'completed'"


def again_and_again(trial: Trial, name: str, drop: Callable[[], object], *, starts: int) -> None:
    """`drop` has the server end every connection, up to five times with the same two tasks in hand, of which each is
    started at most so many times; each time the worker must lose a connection of its own.
    """
    left = trial.rounds(DROPS, fast=DROPS_EACH)
    for number in itertools.count():
        if not left:
            return
        paths = [f"/held/dropped-{number}-{one}" for one in range(2)]
        ids = [trial.client.ingest(trial.documents.url(path)) for path in paths]
        arrived = [trial.arrival(path, 1) for path in paths]
        trial.expect(None not in arrived, "not every page was asked for before the fault")
        held_since = min((one.at for one in arrived if one), default=time.monotonic())
        for _ in range(min(left, DROPS_EACH)):
            with trial.fault(name) as fault:
                _drop(trial, fault, drop)
            left -= 1
            trial.wait(trial.random.uniform(0.3, 1.5))
            if time.monotonic() - held_since > HELD_FOR_SECONDS:
                break
        for path in paths:
            trial.documents.release(path)
        trial.poll(
            lambda both=ids: trial.tables.one(ARE_READ, both) == len(both),  # type: ignore[misc]  # bound at once
            within_seconds=READ_WITHIN_SECONDS,
            what="both are read",
        )
        for path in paths:
            found = trial.documents.arrivals(path)
            trial.expect(
                len(found) <= starts,
                f"{path} was asked for by {[one.pid for one in found]}, at most {starts} times are allowed",
            )


def _drop(trial: Trial, fault: Fault, drop: Callable[[], object]) -> None:
    [line] = trial.lines("broker", "worker")
    stood = trial.wait_until_used(line)
    drop()
    try:
        trial.poll(lambda: stood - line.connections(), within_seconds=5, what="a connection of the worker is gone")
    except DeadlineMissed:
        fault.missed = "the connections of the worker stand"
