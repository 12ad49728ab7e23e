"""Searches from the cache: the same answer while nothing has changed, and never an old one after a commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from app.embedding.embedder import Embedder
from app.errors import EmbedderUnavailable
from app.index.documents import Filters
from app.models.derived import DerivedKind
from app.services import cached_search, consistency, quality, resources, search_indexing
from app.services.library import Library
from tests.integration.libraries import a_library


@pytest.fixture
def library(tmp_path: Path, cache_url: str) -> Iterator[Library]:
    with a_library(data_dir=tmp_path, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def resource_id(library: Library) -> UUID:
    with library.work() as unit:
        created = resources.create(library, {"title": "Lamps", "content": "An amber lantern."}, unit=unit)
    identifier = UUID(str(created["id"]))
    search_indexing.update(library, identifier, work=library.work)
    return identifier


def titles(library: Library, words: str) -> list[str]:
    page = cached_search.search(library, words, mode="keyword", filters=Filters(), limit=10)
    return [item.title for item in page.items]


def test_a_repeated_search_is_read_from_the_cache(library: Library, resource_id: UUID) -> None:
    first = titles(library, "amber")
    hits = library.cache.stats.snapshot().hits

    second = titles(library, "amber")

    assert first == second == ["Lamps"]
    assert library.cache.stats.snapshot().hits == hits + 1


def test_after_the_index_follows_a_change_no_old_page_is_answered(library: Library, resource_id: UUID) -> None:
    assert titles(library, "amber") == ["Lamps"]
    resources.update(library, resource_id, {"content": "A cobalt lantern."})
    search_indexing.update(library, resource_id, work=library.work)

    assert titles(library, "amber") == []
    assert titles(library, "cobalt") == ["Lamps"]


def test_a_deleted_resource_is_not_answered_from_the_cache(library: Library, resource_id: UUID) -> None:
    assert titles(library, "amber") == ["Lamps"]

    resources.delete(library, resource_id)

    assert titles(library, "amber") == []


def test_a_page_that_had_to_do_without_the_embedder_is_not_kept_once_that_is_back(
    library: Library, resource_id: UUID
) -> None:
    def no_model() -> Embedder:
        raise EmbedderUnavailable("no model")

    def mode(library: Library) -> str:
        return cached_search.search(library, "amber", mode="hybrid", filters=Filters(), limit=10).mode

    assert [mode(replace(library, embedder=no_model)), mode(library), mode(library)] == ["keyword", "hybrid", "hybrid"]


def test_a_search_is_an_event_in_this_process_and_no_row(library: Library, resource_id: UUID) -> None:
    titles(library, "amber")

    newest = library.emitter.get_event_history(1)[0]

    assert (newest.name, newest.data["total"]) == ("search.executed", 1)


def test_a_cached_score_is_read_again_once_a_newer_one_is_built(library: Library, resource_id: UUID) -> None:
    quality.recompute(library, resource_id, work=library.work)
    before = quality.read(library, resource_id, build=1)
    resources.update(library, resource_id, {"content": "A cobalt lantern, described at some length. " * 30})
    quality.recompute(library, resource_id, work=library.work)

    after = quality.read(library, resource_id, build=2)

    assert before is not None
    assert after is not None
    assert (before["built_from"], after["built_from"]) == (1, 2)
    assert before["overall"] != after["overall"]


def test_a_rebuild_writes_the_terms_of_an_unchanged_document_anew(library: Library, resource_id: UUID) -> None:
    with library.database.writer() as session:
        session.execute(text("DELETE FROM search_terms"))  # as a damaged file would have it
    assert titles(library, "amber") == []

    consistency.rebuild(library, DerivedKind.SEARCH_INDEX)  # makes no call here: one is open since the creation
    search_indexing.update(library, resource_id, work=library.work)

    assert titles(library, "amber") == ["Lamps"]
