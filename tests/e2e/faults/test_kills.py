"""SIGKILL of the API, the relay and the worker, each at twenty seeded moments under load: nothing lost or doubled."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, closing

import pytest

from chaos.polling import poll_until
from chaos.stack import Stack
from tests.e2e.deployment import Client, Deployment
from tests.e2e.ledger import Writer
from tests.e2e.staleness import stale_by_the_tables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SEED = 20261124
ROUNDS = 20
CLIENTS = 4
ROLES = ("api", "relay", "worker")
SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "EMBEDDING_ENGINE": "hashing",
    "DEBOUNCE_SCALE": "0.2",
    "CALL_LEASE_SECONDS": "5",
    "RELAY_LOST_AFTER_SECONDS": "5",
    "RETRY_FIRST_DELAY_SECONDS": "0.5",
    "RECONCILE_INTERVAL_SECONDS": "3600",  # what was lost must come back without it
}


@pytest.mark.parametrize("deployment", ["sqlite-valkey", "postgresql-rabbitmq"], indirect=True, scope="module")
def test_killed_at_any_moment_nothing_is_lost_and_nothing_doubled(deployment: Deployment) -> None:
    moments = random.Random(SEED)
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        environment=SETTINGS,
    ) as stack:
        bursts: list[Writer] = []
        with Writer(stack.url, seed=SEED) as writer:
            for _ in range(ROUNDS):
                for role in moments.sample(ROLES, len(ROLES)):
                    if role == "api":
                        bursts += _kill_amid_requests(stack, moments)
                    else:
                        _kill_under_load(stack, deployment, role, writer, after_writes=moments.randint(1, 8))
        created = [one for burst in bursts for one in burst.unanswered_creates]
        with closing(Client(stack.url)) as client:
            for key, body in created:
                client.post("/resources", body, headers={"Idempotency-Key": key})
            poll_until(client.has_converged, within_seconds=120, every_seconds=0.2, what="everything converges")
            for one in (writer, *bursts):
                _nothing_accepted_is_lost(client, one)

        assert writer.count > ROUNDS * len(ROLES)
        assert sum(burst.cut_off for burst in bursts) > ROUNDS / 2, "the API was hardly ever killed within a request"
        assert created
        assert not any(one.refused for one in (writer, *bursts))
        assert deployment.query("SELECT content FROM resources GROUP BY content HAVING count(*) > 1") == []
        assert stale_by_the_tables(deployment) == []
        assert deployment.query("SELECT call_id FROM effects GROUP BY call_id HAVING count(*) > 1") == []
        assert deployment.query("SELECT state, count(*) FROM task_calls WHERE state = 'dead' GROUP BY state") == []
        assert deployment.query(_EVENTS_WITHOUT_CALLS) == []


# Every change that was committed has caused a call, and the newest call of each kind for it has ended.
_EVENTS_WITHOUT_CALLS = """
    SELECT e.id FROM events e
    WHERE e.name IN ('resource.created', 'resource.content_changed')
      AND NOT EXISTS (
        SELECT 1 FROM task_calls c
        WHERE c.subject = e.subject AND c.kind = 'embedding' AND c.state = 'done' AND c.done_at >= e.timestamp
      )
"""


def _kill_under_load(stack: Stack, deployment: Deployment, role: str, writer: Writer, *, after_writes: int) -> None:
    process = stack.processes[role]
    _wait_for_its_heartbeat(deployment, process.pid)
    target = writer.count + after_writes
    poll_until(lambda: writer.count >= target, within_seconds=60, every_seconds=0.002, what="writes go on")
    process.kill()
    process.start()


def _kill_amid_requests(stack: Stack, moments: random.Random) -> list[Writer]:
    """Four clients write without a pause; the API dies at a moment of it that the seed draws, and comes back."""
    with ExitStack() as running:
        writers = [
            running.enter_context(
                Writer(stack.url, seed=moments.getrandbits(32), resources_at_most=2, pause_seconds=0.0)
            )
            for _ in range(CLIENTS)
        ]
        until = time.monotonic() + moments.uniform(0.02, 0.3)
        poll_until(lambda: time.monotonic() >= until, within_seconds=5, every_seconds=0.001, what="the moment has come")
        stack.api.kill()
    stack.api.start()
    stack.api.wait_until_up()
    return writers


def _wait_for_its_heartbeat(deployment: Deployment, pid: int) -> None:
    """A canary would wait behind the load; the heartbeat says that the process has come up."""
    poll_until(
        lambda: deployment.query(f"SELECT 1 FROM process_heartbeats WHERE pid = {pid}"),
        within_seconds=60,
        what=f"process {pid} is up",
    )


def _nothing_accepted_is_lost(client: Client, writer: Writer) -> None:
    for resource_id, accepted in writer.accepted.items():
        resource = client.get(f"/resources/{resource_id}")
        assert resource["version"] >= accepted.version
        assert resource["content"] in {accepted.content, *accepted.unanswered}
        assert resource_id in client.found(f'"{resource["content"]}"', mode="keyword", limit=3)
