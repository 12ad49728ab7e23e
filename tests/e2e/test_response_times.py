"""What has a bound of seconds: an edit and what follows it, its debounce, a page beside a silent cache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest
from playwright.sync_api import expect

from app.embedding.hashing import HashingEmbedder
from app.settings import Settings
from chaos.polling import poll_until
from chaos.servers.postgres import PostgresServer
from chaos.servers.redis import RedisServer, ValkeyServer
from chaos.stack import EVERYTHING, Stack
from tests.conftest import Alone
from tests.e2e.browser import chromium
from tests.e2e.deployment import Client, Deployment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

EDITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stack at rest."""

    deployment: Deployment
    cache: ValkeyServer
    client: Client
    url: str

    def create(self, text: str) -> str:
        """A resource with everything derived from it."""
        created = self.client.post("/resources", {"title": "A diary", "content": text})
        poll_until(
            lambda: self._is_derived(created["id"]), within_seconds=90, every_seconds=0.1, what="everything is derived"
        )
        return str(created["id"])

    def _is_derived(self, resource_id: str) -> bool:
        derived = self.client.get(f"/resources/{resource_id}/status")["derived"]
        return {kind["state"] for kind in derived.values()} == {"fresh"}

    def embedder_calls(self, resource_id: str) -> int:
        """Calls that ran the embedder to its end, of whatever version."""
        rows = self.deployment.query(
            f"SELECT count(*) FROM effects WHERE subject = '{resource_id}' AND kind = 'embedding'"
        )
        return int(rows[0][0])

    def vector(self, resource_id: str) -> bytes:
        """The embedding as it is stored."""
        [(vector,)] = self.deployment.query(f"SELECT vector FROM embeddings WHERE resource_id = '{resource_id}'")
        return bytes(vector)

    def embedding_calls(self, resource_id: str) -> dict[str, int]:
        """How many calls of the embedder are in each state."""
        return dict(
            self.deployment.query(
                "SELECT state, count(*) FROM task_calls"
                f" WHERE subject = '{resource_id}' AND kind = 'embedding' GROUP BY state"
            )
        )

    def is_embedded(self, resource_id: str) -> bool:
        """Whether no call of the embedder is left to do."""
        return not {"waiting", "claimed", "sent", "running"} & self.embedding_calls(resource_id).keys()

    def starts(self, resource_id: str) -> int:
        """How often a call of the embedder began, also one that was begun before or failed."""
        rows = self.deployment.query(
            "SELECT coalesce(sum(starts + attempts), 0) FROM task_calls"
            f" WHERE subject = '{resource_id}' AND kind = 'embedding'"
        )
        return int(rows[0][0])


@pytest.fixture(scope="module")
def served(postgres_server: PostgresServer) -> Iterator[Served]:
    database_url = postgres_server.create_database()
    with ValkeyServer() as cache, RedisServer() as broker:
        deployment = Deployment(
            name="postgresql-redis", database_url=database_url, broker_url=broker.url, cache_url=cache.url
        )
        with (
            Stack(
                database_url=database_url,
                broker_url=broker.url,
                cache_url=cache.url,
                processes=(EVERYTHING,),
                environment={
                    "LOG_LEVEL": "WARNING",
                    "EMBEDDING_ENGINE": "hashing",
                    "CANARY_INTERVAL_SECONDS": "15",  # of this stack nothing is broken
                },
            ) as stack,
            closing(Client(stack.url)) as client,
        ):
            poll_until(client.has_converged, within_seconds=30, every_seconds=0.3, what="the stack is idle")
            yield Served(deployment=deployment, cache=cache, client=client, url=stack.url)
    postgres_server.drop_database(database_url)


def test_resource_update_full_flow(served: Served, alone: Alone) -> None:
    client = served.client
    created = served.create("Text before the update, about zebras.")
    first = served.vector(created)

    with alone():
        begun = time.monotonic()
        updated = client.put(f"/resources/{created}", {"content": "Updated content"})
        poll_until(
            lambda: created in client.found("Updated content", mode="keyword"),
            within_seconds=10,
            what="the index follows",
        )
        indexed_after = time.monotonic() - begun
        poll_until(lambda: served.vector(created) != first, within_seconds=30, what="the embedding follows")
        embedded_after = time.monotonic() - begun

    assert updated["version"] == 2
    assert client.found("zebras", mode="keyword") == []
    assert indexed_after <= 2.0
    assert 5.0 <= embedded_after <= 8.0  # its debounce, and not a second time


def test_fifty_edits_within_the_window_are_one_call_of_the_embedder_with_the_last_text(
    served: Served, alone: Alone
) -> None:
    resource_id = served.create("A first entry.")
    before, started_before = served.embedder_calls(resource_id), served.starts(resource_id)

    with alone():
        for number in range(EDITS):
            served.client.put(f"/resources/{resource_id}", {"content": _entry(number)})
    poll_until(lambda: served.is_embedded(resource_id), within_seconds=60, every_seconds=0.2, what="it is embedded")

    assert served.embedder_calls(resource_id) - before == 1
    assert served.starts(resource_id) - started_before == 1
    [(vector, built_from)] = served.deployment.query(
        f"SELECT vector, built_from FROM embeddings WHERE resource_id = '{resource_id}'"
    )
    assert built_from == 1 + EDITS
    assert np.allclose(np.frombuffer(bytes(vector), dtype="<f4"), _mean_vector(_entry(EDITS - 1)), atol=1e-6)
    assert not np.allclose(_mean_vector(_entry(EDITS - 1)), _mean_vector(_entry(EDITS - 2)), atol=1e-6)


def test_a_first_embedding_starts_at_once(served: Served, alone: Alone) -> None:
    with alone():
        resource_id = served.create("Nothing else happens here today.")

    [(waited,)] = served.deployment.query(
        f"SELECT started_at - created_at FROM task_calls WHERE subject = '{resource_id}' AND kind = 'embedding'"
    )
    assert waited < timedelta(seconds=1)


def test_a_new_title_does_not_call_the_embedder(served: Served) -> None:
    resource_id = served.create("A text that stays as it is.")

    updated = served.client.put(f"/resources/{resource_id}", {"title": "Another title"})
    status = served.client.get(f"/resources/{resource_id}/status")

    assert updated["version"] == 2
    assert status["derived"]["quality"]["state"] == "stale"
    assert status["derived"]["embedding"]["state"] == "fresh"
    assert served.embedding_calls(resource_id) == {"done": 1}  # with the edit its calls are stored, and no later


def test_a_silent_cache_is_told_in_the_status_line_and_keeps_no_page_waiting(served: Served, alone: Alone) -> None:
    read = served.create("A page that is shown while the cache is silent.")
    with chromium() as browser:
        page = browser.new_page(base_url=served.url, locale="en-GB")
        page.goto("/")
        status = page.locator("#status .status-word")
        expect(status).to_have_text("Ready")
        served.cache.pause()
        try:
            expect(status).to_have_text("Degraded: cache")
            page.locator("#status summary").click()
            expect(page.locator("#status .parts [data-state=down]")).to_contain_text("does not answer")
            with alone():
                page.goto(f"/library/{read}")
                waited_ms = page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
        finally:
            served.cache.resume()
        assert waited_ms < 2000
        expect(status).to_have_text("Ready")


def _entry(number: int) -> str:
    """Longer than one passage."""
    return "\n\n".join(f"Entry {number}, page {page}: " + f"word{number}x{page} and more. " * 60 for page in range(4))


def _mean_vector(text: str) -> np.ndarray:
    """The unit mean over the passages of a text, by the engine of the stack."""
    embedder = HashingEmbedder(max_passages=Settings.model_fields["embedding_max_passages"].default)
    passages = embedder.passages(text)
    assert len(passages) > 1
    mean = embedder.embed(passages).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))
