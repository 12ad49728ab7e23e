"""A worker is back at its broker soon after the broker is back, however long it was away."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from app.transports.registry import open_transport
from chaos.polling import poll_until
from tests.conformance.brokers import FragileLab
from tests.conformance.product_worker import ProductWorker, held_tasks

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

OUTAGE_SECONDS = 30.0
"""Stock would wait ten seconds and more between two tries by then."""
BACK_WITHIN_SECONDS = 3.0


def test_after_a_long_outage_a_worker_consumes_within_3_s(
    fragile: FragileLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        closing(open_transport(fragile.url)) as transport,
        held_tasks(tmp_path, transport) as tasks,
        ProductWorker("worker", url=fragile.url, tasks=tasks) as worker,
    ):
        fragile.server.kill()
        until = time.monotonic() + OUTAGE_SECONDS
        poll_until(lambda: time.monotonic() >= until, within_seconds=OUTAGE_SECONDS + 1, what="the outage")
        fragile.server.start()

        back_at = time.monotonic()
        tasks.wait_ended(*tasks.publish(seconds=0), within_seconds=60)
        took = time.monotonic() - back_at

        with capsys.disabled():
            print(f"\n{fragile.name}: consumed {took:.2f} s after the broker was back")  # noqa: T201
        assert took <= BACK_WITHIN_SECONDS
        assert worker.times_ready() == 1
