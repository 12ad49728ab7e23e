"""A heart carries what its process has counted into the table, where /metrics finds it."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.services.library import Library
from app.services.presence import Heart
from app.transports.tally import LEASE_LOST, MESSAGES_RECOVERED, tally

pytestmark = pytest.mark.integration


def test_what_workers_count_is_a_metric(library: Library) -> None:
    api = TestClient(create_app(library), base_url="http://localhost")

    def told() -> dict[str, float]:
        found = re.findall(r"^alexandria_(\w+_total) (\S+)$", api.get("/metrics").text, re.MULTILINE)
        return {name: float(value) for name, value in found if name in {LEASE_LOST, MESSAGES_RECOVERED}}

    tally.take()
    assert told() == {LEASE_LOST: 0, MESSAGES_RECOVERED: 0}
    for _ in range(2):  # two workers, one after the other
        tally.add(LEASE_LOST, 1)
        tally.add(MESSAGES_RECOVERED, 4)
        heart = Heart(library.database, role="worker", broker="redis:here:6379/0")
        heart.start()
        tally.add(MESSAGES_RECOVERED, 1)
        heart.stop()
    assert told() == {LEASE_LOST: 2, MESSAGES_RECOVERED: 10}


def test_what_cannot_be_written_down_is_kept(library: Library) -> None:
    tally.take()
    tally.add(LEASE_LOST, 3)
    with library.database.writer() as session:
        session.connection().exec_driver_sql("DROP TABLE counters")
    heart = Heart(library.database, role="worker", broker="redis:here:6379/0")
    heart.start()
    heart.stop()
    assert tally.take() == {LEASE_LOST: 3}
