"""What a run measures itself, and what it makes of a scenario that fails in a way nobody thought of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.models.derived import DerivedKind
from chaos.phases import backlog_seconds
from chaos.run import run
from chaos.scenarios.table import SCENARIOS
from chaos.site import Site
from chaos.trial import Trial
from tests.integration.chaos.planted import Planted

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def test_an_act_that_fails_in_any_way_is_trouble_and_the_rest_is_still_looked_at() -> None:
    def act(trial: Trial) -> None:
        try:
            trial.ledger.entries["nobody knows it"]
        except KeyError as error:
            error.add_note("what only the scenario can tell")
            raise

    with Site() as site:
        result = run(replace(SCENARIOS[1], act=act), site, broker="redis", seed=1, is_fast=True)

    assert "KeyError: 'nobody knows it'" in result.trouble
    assert not result.passed
    assert "what only the scenario can tell" in result.report
    assert "--- relay (running)" in result.report
    assert result.verdicts["I14"].holds
    assert {one["name"] for one in result.exits} == {*SCENARIOS[1].processes}


def test_settings_that_are_to_be_tried_are_those_of_the_processes_but_not_over_the_scenarios_own() -> None:
    seen = {}

    def act(trial: Trial) -> None:
        seen.update(trial.stack.environment)

    scenario = replace(SCENARIOS[1], act=act, load=None, environment={"MAX_DELIVERIES": "4"})
    tried = {"MAX_DELIVERIES": "3", "DEBOUNCE_SCALE": "0.3"}
    with Site() as site:
        result = run(scenario, site, broker="redis", seed=1, is_fast=True, settings=tried)

    assert (seen["MAX_DELIVERIES"], seen["DEBOUNCE_SCALE"]) == ("4", "0.3")
    assert result.settings == tried
    assert result.environment.items() <= seen.items()
    assert result.environment.keys() > tried.keys()


def test_the_rate_is_that_of_a_backlog_and_the_relay_is_back_after_it() -> None:
    seen = []

    def act(trial: Trial) -> None:
        seen.append((trial.observed.rate, trial.stack.relay.running, trial.tables.has_converged()))

    with Site() as site:
        run(replace(SCENARIOS[1], act=act, load=None), site, broker="redis", seed=1, is_fast=True)

    [(rate, runs, converged)] = seen
    assert rate > 1
    assert runs
    assert converged


def test_the_backlog_is_gone_when_the_last_call_of_before_the_healing_has_ended(planted: Planted) -> None:
    one = planted.accept()
    healed = planted.began + timedelta(seconds=60)
    assert backlog_seconds(planted.seen.tables, healed) == 0

    planted.build(one, DerivedKind.QUALITY, created_at=planted.began, done_at=healed + timedelta(seconds=12))
    planted.build(
        one, DerivedKind.CITATIONS, created_at=healed + timedelta(seconds=1), done_at=healed + timedelta(seconds=40)
    )
    assert backlog_seconds(planted.seen.tables, healed) == 12


def test_the_backlog_of_a_time_is_what_was_open_then(planted: Planted) -> None:
    one = planted.accept()
    then = planted.began + timedelta(seconds=60)
    for created, done in ((-5, 5), (-5, -1), (1, 5)):
        planted.build(
            one,
            DerivedKind.QUALITY,
            created_at=then + timedelta(seconds=created),
            done_at=then + timedelta(seconds=done),
        )

    assert planted.seen.tables.open_calls(at=then) == 1


@pytest.mark.parametrize(("generation", "seconds"), [(1, 2), (2, 12)])
def test_a_call_that_waited_for_its_debounce_counts_from_when_it_was_due_unless_it_was_sent_again(
    planted: Planted, generation: int, seconds: int
) -> None:
    one = planted.accept()
    healed = planted.began + timedelta(seconds=60)
    due = healed + timedelta(seconds=10)
    planted.build(
        one,
        DerivedKind.QUALITY,
        created_at=planted.began,
        due_at=due,
        done_at=due + timedelta(seconds=2),
        generation=generation,
    )

    assert backlog_seconds(planted.seen.tables, healed) == seconds
