"""After EMBEDDING_ENGINE names another model: what the old one built is stale, mended, and compared with nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args
from uuid import UUID

import pytest

from app.embedding.hashing import HashingEmbedder
from app.embedding.model_ids import OF_ENGINE
from app.index.documents import Filters
from app.index.vectors import Vectors
from app.models.derived import DerivedKind
from app.models.resource import Resource
from app.services import cached_search, consistency, embeddings
from app.services.library import Library
from app.settings import Settings
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox

pytestmark = pytest.mark.integration

TEXT = "Zebras graze on the plains of the savannah."


class NewerModel(HashingEmbedder):
    """Another model of the same dimension: only its name says that its vectors mean something else."""

    model_id = "hashing/newer/2"  # type: ignore[misc]  # final in the engine


@pytest.fixture
def old(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def new(old: Library) -> Library:
    """The library of a process that was started with the other model."""
    embedder = NewerModel(max_passages=4)
    vectors = Vectors(model_id=embedder.model_id, dimension=embedder.dimension)
    return replace(old, embedding_model=embedder.model_id, embedder=lambda: embedder, vectors=lambda: vectors)


@pytest.fixture
def ids(old: Library) -> list[UUID]:
    """Three resources that the old model has embedded."""
    made = [Outbox(old).resource(TEXT) for _ in range(3)]
    for one in made:
        embeddings.regenerate(old, one, work=old.work)
    return made


def embedding_counts(library: Library) -> tuple[int, int]:
    """Fresh and stale."""
    with library.database.reader() as session:
        kinds = consistency.overview(session, embedding_model=library.embedding_model)["kinds"]
    return kinds["embedding"]["fresh"], kinds["embedding"]["stale"]


def state_of(library: Library, resource_id: UUID) -> str:
    with library.database.reader() as session:
        resource = session.get_one(Resource, resource_id)
        status = consistency.resource_status(session, resource, embedding_model=library.embedding_model)
    state: str = status["derived"]["embedding"]["state"]
    return state


def found(library: Library) -> set[UUID]:
    page = cached_search.search(library, "zebras of the savannah", mode="semantic", filters=Filters(), limit=10)
    return {item.id for item in page.items}


def test_what_another_model_built_is_stale_until_the_new_one_has_built_it(
    old: Library, new: Library, ids: list[UUID]
) -> None:
    assert (embedding_counts(old), embedding_counts(new)) == ((3, 0), (0, 3))
    assert {state_of(new, one) for one in ids} == {"stale"}

    embeddings.regenerate(new, ids[0], work=new.work)

    assert (embedding_counts(old), embedding_counts(new)) == ((2, 1), (1, 2))
    assert [state_of(new, one) for one in ids] == ["fresh", "stale", "stale"]


def test_the_reconciler_calls_once_for_each_that_another_model_built(
    old: Library, new: Library, ids: list[UUID]
) -> None:
    assert consistency.reconcile(embedding_model=old.embedding_model, work=old.work)["embedding"] == 0

    calls = [consistency.reconcile(embedding_model=new.embedding_model, work=new.work) for _ in range(2)]

    assert [made[DerivedKind.EMBEDDING] for made in calls] == [3, 0]


def test_repair_calls_for_everything_in_slices(new: Library, ids: list[UUID]) -> None:
    assert consistency.repair(new, most=2)["embedding"] == len(ids)
    assert consistency.repair(new) == {}


def test_a_search_for_meaning_compares_vectors_of_its_own_model_only(
    old: Library, new: Library, ids: list[UUID]
) -> None:
    assert found(old) == set(ids)
    assert found(new) == set()  # nor from the pages that the old model's answers were kept in

    embeddings.regenerate(new, ids[0], work=new.work)

    assert (found(old), found(new)) == (set(ids[1:]), {ids[0]})


def test_every_engine_has_its_model_id() -> None:
    engines = get_args(Settings.model_fields["embedding_engine"].annotation)

    assert set(OF_ENGINE) == set(engines)
    assert len(set(OF_ENGINE.values())) == len(engines)
