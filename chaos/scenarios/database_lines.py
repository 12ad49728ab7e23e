"""Scenarios that break the lines to the database."""

from __future__ import annotations

from chaos import faults
from chaos.broker_contents import held_messages
from chaos.invariants.observed import Bounds
from chaos.scenarios.broker_lines import CONSUMERS
from chaos.scenarios.scenario import Scenario
from chaos.stack import PROCESSES_OF
from chaos.trial import Trial

IN_HAND = 2
"""They have been started, and that was confirmed. Whoever hears nothing of a start that was written starts again."""


def cut_off(trial: Trial) -> None:
    """Relay and workers lose the database with tasks in hand, and before others start."""
    for number in range(trial.rounds(3, fast=1)):
        paths = [f"/held/cut-{number}-{one}" for one in range(IN_HAND)]
        for path in paths:
            trial.client.ingest(trial.documents.url(path))
        arrived = [trial.arrival(path, 1) for path in paths]
        trial.expect(None not in arrived, "not every page was asked for before the fault")
        with trial.broken(trial.lines("database", *CONSUMERS), faults.down()):
            for path in paths:
                trial.documents.release(path)
            trial.wait(20)
            held = held_messages(trial.ground.contents_url, server=trial.ground.own_broker)
            trial.expect(
                held is None or held >= len(paths),
                f"{held} messages are not acknowledged, of {len(paths)} tasks in hand",
            )
    trial.expect(not trial.tables.query("SELECT 1 FROM dead_letters"), "a task was given up for the database")


SCENARIOS = (
    Scenario(
        number=32,
        title="database cut off",
        fault="lines of relay and workers to the database down for 20 s, in the middle of starts and effects",
        bound="each effect once, no dead letter, no task in hand acknowledged meanwhile;"
        " every worker consumes ≤ 10 s; drained ≤ 10 s + backlog / rate;"
        " at most 3 executions repeated by each cut, as many as can be about to start",
        act=cut_off,
        also=("I3", "I6", "I10"),
        bounds=Bounds(redone_each=sum(PROCESSES_OF.values()) - IN_HAND),
        is_fast=True,
    ),
)
