"""A document that is changed while it is read is answered as it was in one version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from app.models.base import new_id
from app.models.resource import IngestionState, Resource
from app.services import resources
from app.services.library import Library
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


@pytest.fixture
def library(migrated_postgres_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_postgres_url, cache_url=cache_url) as library:
        yield library


def test_version_and_text_are_of_one_version_when_every_statement_is_followed_by_a_change(library: Library) -> None:
    resource_id = new_id()
    with library.database.writer() as session:
        state = IngestionState.COMPLETED
        session.add(Resource(id=resource_id, title="Text", content="text 1", version=1, ingestion_status=state))
    changed = 1

    def change(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal changed
        if statement.startswith("SELECT") and "resources" in statement:
            changed += 1
            values = {"version": changed, "content": f"text {changed}"}
            with Session(library.database.engine) as other, other.begin():
                other.execute(update(Resource).where(Resource.id == resource_id).values(**values))

    event.listen(library.database.engine, "after_cursor_execute", change)
    try:
        read = resources.get(library, resource_id)
    finally:
        event.remove(library.database.engine, "after_cursor_execute", change)

    assert changed > 1
    assert read["content"] == f"text {read['version']}"
