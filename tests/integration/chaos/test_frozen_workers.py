"""Workers that stand still on purpose: what is lost of it is seen to be sent again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.broker_contents import contents
from chaos.scenarios.frozen_workers import AT_LEAST, frozen_workers, nothing_moves
from chaos.scenarios.table import SCENARIOS
from chaos.servers.redis import RedisServer
from chaos.trial import Trial
from tests.integration.chaos.a_trial import a_trial

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with a_trial(SCENARIOS[19]) as trial:
        yield trial


def test_messages_wait_for_frozen_workers_and_go_once_these_move(trial: Trial) -> None:
    with frozen_workers(trial, "ml_tasks") as backlog:
        assert contents(trial.ground.broker_url).ready["ml_tasks"] >= backlog.ready >= AT_LEAST
        assert len(backlog.calls) >= backlog.ready
    trial.poll(trial.tables.has_converged, within_seconds=60, what="the workers go on")
    assert backlog.sent_again(trial) == 0


def test_what_was_lost_while_nothing_moved_is_seen_to_be_sent_again(trial: Trial) -> None:
    assert isinstance(trial.ground.broker, RedisServer)
    with nothing_moves(trial) as backlog:
        assert contents(trial.ground.broker_url).messages == backlog.ready >= AT_LEAST
        with trial.ground.broker.client() as client:
            client.flushdb()
    assert backlog.sent_again(trial) == 0
    assert backlog.seconds_until_sent_again(trial, within_seconds=30) is not None
    trial.poll(trial.tables.has_converged, within_seconds=60, what="all is built")
