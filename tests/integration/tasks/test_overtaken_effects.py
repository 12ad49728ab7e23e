"""An effect that was overtaken between its reading and its writing writes nothing, and claims no version."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import UUID

import pytest

from app.models.derived import DerivedKind
from app.models.outbox import CallState
from app.models.resource import Resource
from app.services import authors, citations, classifying, derived_states, embeddings, quality, search_indexing
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from tests.integration.tasks.delivery import Outbox, call_for, deliver, task_of

pytestmark = pytest.mark.integration

Build = Callable[..., None]
BUILDS = {
    DerivedKind.SEARCH_INDEX: search_indexing.update,
    DerivedKind.EMBEDDING: embeddings.regenerate,
    DerivedKind.QUALITY: quality.recompute,
    DerivedKind.AUTHORS: authors.normalise,
    DerivedKind.CLASSIFICATION: classifying.classify,
    DerivedKind.CITATIONS: citations.extract,
}


def overtaken(build: Build) -> Build:
    """`build`, but a newer version is edited and built by somebody else after it has read its own."""

    def body(library: Library, resource_id: UUID, *, work: Work) -> None:
        def late() -> AbstractContextManager[UnitOfWork]:
            with library.database.writer() as session:
                resource = session.get_one(Resource, resource_id)
                resource.content, resource.version, resource.content_version = "Another text about okapis.", 2, 2
                resource.authors_version = 2
            build(library, resource_id, work=library.work)
            return work()

        build(library, resource_id, work=late)

    return body


@pytest.mark.parametrize("kind", BUILDS, ids=str)
def test_an_overtaken_effect_claims_no_version(library: Library, outbox: Outbox, kind: DerivedKind) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id, kind=kind))

    deliver(task_of(overtaken(BUILDS[kind])), claimed)

    assert outbox.state(claimed.id) == CallState.DONE
    assert [effect.version for effect in outbox.effects(claimed.id)] == [None]
    with library.database.reader() as session:
        assert derived_states.built_from(session, resource_id, kind) == 2
