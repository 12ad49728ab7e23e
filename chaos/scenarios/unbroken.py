"""The scenario in which nothing is broken."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime

from chaos.invariants.observed import Bounds
from chaos.scenarios.scenario import Scenario
from chaos.tables import IS_OPEN, IS_WORK
from chaos.trial import Trial
from chaos.workload import Load

WRITTEN_WITHIN_SECONDS = {50: 0.1, 95: 0.5, 99: 1.0}
STARTED_WITHIN_SECONDS = {50: 0.5, 95: 1.0, 99: 2.0}
"""By percent."""
CALLS_A_SECOND = 20
"""Of a line, on two cores that do nothing else: 45 and more were measured there, 22 beside other runs."""
LINE_SECONDS = 10.0
"""Of five writes a second: more than the 20 urgent calls, and as many of low priority, that I8 takes for a sample."""
PERCENTS = (50, 95, 99)
WAITED = f"""
    SELECT percentile_cont(%s::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - due_at)) FROM task_calls
    WHERE {IS_WORK} AND state = 'done' AND created_at > %s
"""
IN_LINE = f"SELECT count(*) FROM task_calls WHERE {IS_OPEN} AND {IS_WORK} AND due_at <= %s"
OF_THE_LINE = f"""
    SELECT count(*), extract(epoch FROM max(done_at) - %s) FROM task_calls
    WHERE {IS_WORK} AND state = 'done' AND due_at <= %s AND done_at > %s
"""


def nothing(trial: Trial) -> None:
    """Let a line form, which is no fault: the relay is asked to end, and started again. Then let the load run."""
    trial.note_line()
    trial.end(trial.stack.relay)
    trial.wait(LINE_SECONDS)
    trial.start(trial.stack.relay)
    back = datetime.now(UTC)
    trial.poll(lambda: not trial.tables.one(IN_LINE, back), within_seconds=60, what="the line is gone")
    [(calls, seconds)] = trial.tables.query(OF_THE_LINE, back, back, back)
    each = float(seconds) / calls if calls else None
    rate = f"{1 / each:.0f} a second" if each else "none"
    trial.measure(f"a call of {calls} in line, {rate}", each, at_most=1 / CALLS_A_SECOND)
    trial.note_steady()
    trial.wait(trial.rounds(20, fast=10))


def all_was_quick(trial: Trial) -> None:
    """What the others are compared with: how long a write took, and a call from being due to its start."""
    written = statistics.quantiles([one.seconds for one in trial.ledger.writes], n=100)
    waited = trial.tables.one(WAITED, [percent / 100 for percent in PERCENTS], trial.observed.steady_from)
    for percent, started in zip(PERCENTS, waited, strict=True):
        trial.measure(f"{percent} of 100 writes", written[percent - 1], at_most=WRITTEN_WITHIN_SECONDS[percent])
        trial.measure(f"{percent} of 100 calls to start", float(started), at_most=STARTED_WITHIN_SECONDS[percent])


SCENARIOS = (
    Scenario(
        number=1,
        title="nothing is broken",
        fault="none; the relay is asked to end and is back 10 s later, so that calls stand in line",
        bound=f"≥ {CALLS_A_SECOND} calls done a second of the line; 50, 95 and 99 of 100 writes ≤ 0.1, 0.5 and 1 s, as"
        " many calls started ≤ 0.5, 1 and 2 s after being due; nothing done again",
        act=nothing,
        afterwards=all_was_quick,
        also=("I3", "I6", "I7", "I8", "I10", "I12"),
        load=Load(writes=150, fast_writes=100, per_second=5, resources=60),
        bounds=Bounds(is_faultless=True, runs_per_key=None),
        is_fast=True,
    ),
)
