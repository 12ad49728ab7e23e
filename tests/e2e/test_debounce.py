"""Debounce through the real processes: many edits are one rebuild, of the last text; a first build waits for none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest

from app.embedding.hashing import HashingEmbedder
from app.settings import Settings
from chaos.polling import poll_until
from chaos.stack import EVERYTHING, Stack
from tests.e2e.deployment import Client, Deployment

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("deployment", ["postgresql-redis"], indirect=True, scope="module"),
]

EDITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A stack at rest."""

    deployment: Deployment
    client: Client

    def create(self, text: str) -> str:
        """A resource with everything derived from it."""
        created = self.client.post("/resources", {"title": "A diary", "content": text})
        self.wait_until_converged()
        return str(created["id"])

    def wait_until_converged(self) -> None:
        poll_until(self.client.has_converged, within_seconds=90, what="everything is derived")

    def embedder_calls(self, resource_id: str) -> int:
        """Calls that ran the embedder to its end, of whatever version."""
        rows = self.deployment.query(
            f"SELECT count(*) FROM effects WHERE subject = '{resource_id}' AND kind = 'embedding'"
        )
        return int(rows[0][0])

    def starts(self, resource_id: str) -> int:
        """Calls of the embedder that ever began."""
        rows = self.deployment.query(
            f"SELECT count(*) FROM task_calls WHERE subject = '{resource_id}' AND kind = 'embedding'"
            " AND started_at IS NOT NULL"
        )
        return int(rows[0][0])


@pytest.fixture(scope="module")
def served(deployment: Deployment) -> Iterator[Served]:
    with Stack(
        database_url=deployment.database_url,
        broker_url=deployment.broker_url,
        cache_url=deployment.cache_url,
        processes=(EVERYTHING,),
        environment={"LOG_LEVEL": "WARNING", "EMBEDDING_ENGINE": "hashing"},
    ) as stack:
        client = Client(stack.url)
        poll_until(client.has_converged, within_seconds=30, what="the stack is idle")
        yield Served(deployment=deployment, client=client)
        client.close()


@pytest.mark.usefixtures("alone")
def test_fifty_edits_within_the_window_are_one_call_of_the_embedder_with_the_last_text(served: Served) -> None:
    resource_id = served.create("A first entry.")
    before, started_before = served.embedder_calls(resource_id), served.starts(resource_id)

    for number in range(EDITS):
        served.client.put(f"/resources/{resource_id}", {"content": _entry(number)})
    served.wait_until_converged()

    assert served.embedder_calls(resource_id) - before == 1
    assert served.starts(resource_id) - started_before == 1
    [(vector, built_from)] = served.deployment.query(
        f"SELECT vector, built_from FROM embeddings WHERE resource_id = '{resource_id}'"
    )
    assert built_from == 1 + EDITS
    assert np.allclose(np.frombuffer(bytes(vector), dtype="<f4"), _mean_vector(_entry(EDITS - 1)), atol=1e-6)
    assert not np.allclose(_mean_vector(_entry(EDITS - 1)), _mean_vector(_entry(EDITS - 2)), atol=1e-6)


@pytest.mark.usefixtures("alone")
def test_a_first_embedding_starts_at_once(served: Served) -> None:
    resource_id = served.create("Nothing else happens here today.")

    [(waited,)] = served.deployment.query(
        f"SELECT started_at - created_at FROM task_calls WHERE subject = '{resource_id}' AND kind = 'embedding'"
    )
    assert waited < timedelta(seconds=1)


def test_a_new_title_does_not_call_the_embedder(served: Served) -> None:
    resource_id = served.create("A text that stays as it is.")
    before = served.embedder_calls(resource_id)

    updated = served.client.put(f"/resources/{resource_id}", {"title": "Another title"})
    status = served.client.get(f"/resources/{resource_id}/status")
    served.wait_until_converged()

    assert updated["version"] == 2
    assert status["derived"]["embedding"]["state"] == "fresh"
    assert served.embedder_calls(resource_id) == before
    assert served.starts(resource_id) == before == 1


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
