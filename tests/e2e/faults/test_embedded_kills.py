"""The embedded default under SIGKILL, scenario 37 of the chaos suite: the supervisor, and each child in turn."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from chaos.polling import poll_until
from tests.e2e.deployment import Client, Deployment
from tests.e2e.embedded_stack import EmbeddedStack, alive, embedded_stack
from tests.e2e.ledger import Writer
from tests.e2e.staleness import stale_by_the_tables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEED = int(os.environ.get("EMBEDDED_SEED") or 20261126)
CONVERGES_WITHIN_SECONDS = 120.0
"""Debounces are the product's own: a classification waits 20 s after the last edit, 120 s at most after the first."""
CHILDREN = ("api", "relay", "worker", "ml-worker", "beat", "broker", "cache")
HEARTS = ("relay", "worker", "ml-worker")
READY_AGAIN_WITHIN_SECONDS = 10.0


def test_every_child_and_the_supervisor_are_killed_under_load_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir, log = tmp_path / "data", tmp_path / "up.log"
    moments = random.Random(SEED)
    deployment = Deployment(
        name="embedded", database_url=f"sqlite:///{data_dir / 'alexandria.sqlite3'}", broker_url="", cache_url=""
    )
    seconds: dict[str, float] = {}
    with embedded_stack(data_dir, log=log) as stack, Writer(str(stack.client.base_url), seed=SEED) as writer:
        for name in moments.sample(CHILDREN, len(CHILDREN)):
            _writes_go_on(writer, moments.randint(3, 10))
            killed, begun = _child(stack, name), time.monotonic()
            killed.kill()
            poll_until(lambda: not alive(killed), within_seconds=5, what=f"{name} is gone", every_seconds=0.01)  # noqa: B023  asked at once
            poll_until(
                lambda one=name: _is_back(stack, deployment, one) and stack.works(),  # type: ignore[misc]  # bound at once
                within_seconds=60,
                what=f"another {name} works",
            )
            seconds[name] = time.monotonic() - begun
        _writes_go_on(writer, 5)
        everyone = stack.everyone()
        stack.process.kill()
        poll_until(lambda: not any(map(alive, everyone)), within_seconds=5, what="no orphan")
    begun = time.monotonic()
    with embedded_stack(data_dir, log=log) as stack, closing(Client(str(stack.client.base_url))) as client:
        seconds["supervisor"] = time.monotonic() - begun
        poll_until(
            client.has_converged, within_seconds=CONVERGES_WITHIN_SECONDS, every_seconds=0.2, what="all converges"
        )

        _nothing_accepted_is_lost(client, writer)

    with capsys.disabled():
        print(f"\nready again after { ({name: round(one, 1) for name, one in seconds.items()}) } s")  # noqa: T201
    assert {name: one for name, one in seconds.items() if one > READY_AGAIN_WITHIN_SECONDS} == {}
    assert stale_by_the_tables(deployment) == []
    assert deployment.query("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1") == []
    assert deployment.query("SELECT id FROM task_calls WHERE state = 'dead'") == []
    assert deployment.query("PRAGMA integrity_check") == [("ok",)]


def _child(stack: EmbeddedStack, name: str) -> psutil.Process:
    """A process of ours goes by its name, a private server by its directory."""
    found = [one for one in psutil.Process(stack.process.pid).children() if alive(one) and _is(one, name)]
    assert len(found) == 1, found
    return found[0]


def _is_back(stack: EmbeddedStack, deployment: Deployment, name: str) -> bool:
    """A new one lives; of those that say so in the tables, it has."""
    new = [one for one in psutil.Process(stack.process.pid).children() if alive(one) and _is(one, name)]
    if not new or name not in HEARTS:
        return bool(new)
    return bool(deployment.query(f"SELECT 1 FROM process_heartbeats WHERE pid = {new[0].pid}"))


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return process.name() == name or Path(process.cwd()).name == name
    except psutil.NoSuchProcess:
        return False


def _writes_go_on(writer: Writer, count: int) -> None:
    target = writer.count + count
    poll_until(lambda: writer.count >= target, within_seconds=60, every_seconds=0.01, what="writes go on")


def _nothing_accepted_is_lost(client: Client, writer: Writer) -> None:
    for resource_id, accepted in writer.accepted.items():
        resource = client.get(f"/resources/{resource_id}")
        assert resource["version"] >= accepted.version
        assert resource["content"] in {accepted.content, *accepted.unanswered}
