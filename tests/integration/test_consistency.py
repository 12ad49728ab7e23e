"""What is derived and what is noted of it: whichever of the two is older, `/consistency` says so and it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from sqlalchemy import delete, update

from app.index.documents import Filters
from app.models.author import AuthorSet
from app.models.citation import CitationSet
from app.models.classification import ResourceCategory
from app.models.derived import DerivedKind, DerivedState, Embedding, QualityScore
from app.models.outbox import TaskCall
from app.models.resource import Resource
from app.models.search import SearchDocument
from app.services import (
    authors,
    cached_search,
    citations,
    classifying,
    consistency,
    embeddings,
    quality,
    search_indexing,
)
from app.services.derived_states import REVISIONS
from app.services.library import Library
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox

pytestmark = pytest.mark.integration

Build = Callable[..., None]
TABLES: dict[
    DerivedKind, type[SearchDocument | Embedding | QualityScore | AuthorSet | ResourceCategory | CitationSet]
] = {
    DerivedKind.SEARCH_INDEX: SearchDocument,
    DerivedKind.EMBEDDING: Embedding,
    DerivedKind.QUALITY: QualityScore,
    DerivedKind.AUTHORS: AuthorSet,
    DerivedKind.CLASSIFICATION: ResourceCategory,
    DerivedKind.CITATIONS: CitationSet,
}
BUILDERS: dict[DerivedKind, Build] = {
    DerivedKind.SEARCH_INDEX: search_indexing.update,
    DerivedKind.EMBEDDING: embeddings.regenerate,
    DerivedKind.QUALITY: quality.recompute,
    DerivedKind.AUTHORS: authors.normalise,
    DerivedKind.CLASSIFICATION: classifying.classify,
    DerivedKind.CITATIONS: citations.extract,
}


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def ids(library: Library) -> list[UUID]:
    """Two resources with all that is derived from them."""
    made = [Outbox(library).resource(f"Zebra {number} grazes on the plain.") for number in range(2)]
    for one in made:
        for build in BUILDERS.values():
            build(library, one, work=library.work)
    return made


def counts(library: Library, kind: DerivedKind) -> tuple[int, int]:
    """Fresh and stale."""
    with library.database.reader() as session:
        found = consistency.overview(session, embedding_model=library.embedding_model)["kinds"][str(kind)]
    return found["fresh"], found["stale"]


def state_of(library: Library, resource_id: UUID, kind: DerivedKind) -> str:
    with library.database.reader() as session:
        resource = session.get_one(Resource, resource_id)
        status = consistency.resource_status(session, resource, embedding_model=library.embedding_model)
    return str(status["derived"][str(kind)]["state"])


def zebras(library: Library) -> int:
    return len(cached_search.search(library, "zebra", mode="keyword", filters=Filters(), limit=10).items)


@pytest.mark.parametrize("harm", ["removed", "older"])
@pytest.mark.parametrize("kind", list(DerivedKind))
def test_a_derived_row_that_is_missing_or_older_than_noted_is_stale_and_is_built_again(
    library: Library, ids: list[UUID], kind: DerivedKind, harm: str
) -> None:
    assert counts(library, kind) == (2, 0)
    table = TABLES[kind]
    with library.database.writer() as session:
        if harm == "removed":
            session.execute(delete(table).where(table.resource_id == ids[0]))
        else:
            session.execute(update(table).where(table.resource_id == ids[0]).values(built_from=0))
        session.execute(delete(TaskCall))  # nobody is about to build it anyway

    assert counts(library, kind) == (1, 1)
    assert [state_of(library, one, kind) for one in ids] == ["stale", "fresh"]

    assert consistency.reconcile(embedding_model=library.embedding_model, work=library.work)[str(kind)] == 1
    BUILDERS[kind](library, ids[0], work=library.work)

    assert counts(library, kind) == (2, 0)
    assert zebras(library) == 2


@pytest.mark.parametrize("kind", list(REVISIONS))
def test_what_an_earlier_revision_of_the_algorithm_built_is_stale_and_is_built_anew_once(
    library: Library, ids: list[UUID], kind: DerivedKind
) -> None:
    def revisions() -> list[int]:
        with library.database.reader() as session:
            return [session.get_one(DerivedState, (one, kind)).revision for one in ids]

    of_first = (DerivedState.resource_id == ids[0]) & (DerivedState.kind == kind)
    with library.database.writer() as session:
        session.execute(update(DerivedState).where(of_first).values(revision=REVISIONS[kind] - 1))
        session.execute(delete(TaskCall))

    assert counts(library, kind) == (1, 1)
    assert [state_of(library, one, kind) for one in ids] == ["stale", "fresh"]

    assert consistency.reconcile(embedding_model=library.embedding_model, work=library.work)[str(kind)] == 1
    BUILDERS[kind](library, ids[0], work=library.work)

    assert revisions() == [REVISIONS[kind]] * 2
    assert counts(library, kind) == (2, 0)

    with library.database.writer() as session:  # a process of newer code built it: older code leaves it alone
        session.execute(update(DerivedState).where(of_first).values(revision=REVISIONS[kind] + 1))
    assert counts(library, kind) == (2, 0)
