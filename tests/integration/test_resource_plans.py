"""On SQLite a few living documents are found without reading all of them."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.index.documents import Filters
from app.models.base import new_id
from app.models.resource import Resource
from app.services import archives, cached_search, embeddings, resource_pages, search_indexing
from app.services.library import Library
from app.services.resource_pages import ResourceFilter
from tests.integration.query_plans import plans

pytestmark = pytest.mark.integration

ALL_LIVING = "SEARCH resources USING INDEX ix_resources_deleted_at (deleted_at=?)"
BY_IDS_ALONE = "SEARCH resources USING COVERING INDEX sqlite_autoindex_resources_1 (id=?)"
TOMBSTONES = "SEARCH resources USING INDEX ix_resources_deleted_at (deleted_at>?)"


def put(library: Library, *, title: str, content: str) -> None:
    with library.database.writer() as session:
        resource = Resource(title=title, content=content, content_version=1)
        session.add(resource)
        session.flush()
        search_indexing.update_search_index(session, library.index, resource)
    embeddings.regenerate(library, resource.id, work=library.work)


def test_pages_hits_exports_and_slices_do_not_read_all_living_documents(sqlite_library: Library) -> None:
    library = sqlite_library
    for number in range(3):
        put(library, title=f"The owl, part {number}", content="An owl sees at night.")

    with plans(library, "resources") as found:
        for mode in ("keyword", "hybrid", "keyword"):  # the last is answered by the cache, and checked
            cached_search.search(library, "owl", mode=mode, filters=Filters(), limit=20)
        resource_pages.list_page(library, limit=20, cursor=None, sort="-created_at", wanted=ResourceFilter())
        list(archives.export(library))
        search_indexing.rebuild_search_index(library.database, library.index)
    steps = [step for several in found.values() for step in several]

    assert len(found) >= 8
    assert TOMBSTONES in steps  # the index is there, and found by who asks for the deleted
    assert [statement for statement, several in found.items() if ALL_LIVING in several] == []


def test_of_a_few_ids_the_living_are_found_by_their_ids(sqlite_library: Library) -> None:
    few = select(Resource.title).where(Resource.id.in_([new_id() for _ in range(20)]), Resource.deleted_at.is_(None))
    with plans(sqlite_library, "resources") as found, sqlite_library.database.reader() as session:
        session.execute(few).all()
    assert list(found.values()) == [["SEARCH resources USING INDEX sqlite_autoindex_resources_1 (id=?)"]]


def test_which_of_those_near_in_meaning_live_is_told_without_reading_them(sqlite_library: Library) -> None:
    put(sqlite_library, title="The owl", content="An owl sees at night.")
    with plans(sqlite_library, "resources") as found:
        page = cached_search.search(sqlite_library, "owl at night", mode="semantic", filters=Filters(), limit=20)
    assert len(page.items) == 1
    assert BY_IDS_ALONE in [several[0] for several in found.values()]
