"""A trial on real processes: who consumes and who hangs, who holds a task, and who ended without being meant to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.scenarios.table import SCENARIOS
from chaos.trial import Trial
from tests.integration.chaos.a_trial import a_trial

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with a_trial(SCENARIOS[13]) as trial:
        yield trial


def test_a_worker_that_hangs_is_told_from_one_that_consumes(trial: Trial) -> None:
    trial.stack.ml_worker.pause()
    found = trial.wait_until_consuming(within_seconds=5)
    trial.stack.ml_worker.resume()
    assert found["ml-worker"] is None
    assert found["worker"] is not None
    assert trial.wait_until_consuming(within_seconds=60)["ml-worker"] is not None


def test_of_one_queue_those_that_serve_it_are_asked(trial: Trial) -> None:
    found = trial.wait_until_consuming(within_seconds=60, queue="ml_tasks")
    assert found.keys() == {"ml-worker"}
    assert found["ml-worker"] is not None
    assert trial.wait_until_consuming(within_seconds=60, queue="batch").keys() == {"worker"}


def test_the_worker_that_holds_a_document_is_known(trial: Trial) -> None:
    trial.client.ingest(trial.documents.url("/held/known"))
    arrival = trial.arrival("/held/known", 1)
    assert arrival is not None
    assert trial.worker_of(arrival.pid) is trial.stack.worker
    trial.documents.release("/held/known")


def test_a_process_that_ends_by_itself_is_written_down_and_one_that_was_killed_is_meant(trial: Trial) -> None:
    trial.kill(trial.stack.relay)
    trial.stack.beat.kill()  # behind the back of the trial
    trial.keep_up()
    exits = {one.name: one.intended for one in trial.observed.exits}
    trial.start(trial.stack.relay)
    trial.stack.beat.start()
    assert exits == {"relay": True, "beat": False}


def test_all_is_healed_when_the_last_fault_is_over_and_who_was_killed_is_back(trial: Trial) -> None:
    with trial.fault("SIGKILL of the relay"):
        trial.kill(trial.stack.relay)
    over = trial.healed_at
    trial.start(trial.stack.relay)
    back = trial.healed_at

    trial.wait(1)

    assert over is not None
    assert back is not None
    assert over < back == trial.healed_at
