"""Values that are compared with the database when they are read: true also where nobody could drop them.

`writer` is a process that the cache does not hear: whatever it commits, it drops nothing, as if it had died there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.index.documents import Filters
from app.models.derived import DerivedKind
from app.services import (
    archives,
    cached_search,
    citation_graph,
    citations,
    derived_states,
    embeddings,
    neighbors,
    quality,
    resources,
    search_indexing,
)
from app.services.batch_operations import Rebuild
from app.services.library import Library
from app.services.search import Mode
from chaos.ports import free_port
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration


@pytest.fixture
def library(tmp_path: Path, cache_url: str) -> Iterator[Library]:
    with a_library(data_dir=tmp_path, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def writer(library: Library) -> Iterator[Library]:
    data_dir, nobody = library.settings.data_dir, f"redis://127.0.0.1:{free_port()}/0"
    with a_library(data_dir=data_dir, cache_url=nobody) as writer:
        yield writer


def put(library: Library, content: str, **fields: Any) -> UUID:
    """A document that is indexed and embedded."""
    with library.work() as unit:
        made: UUID = resources.create(library, {"content": content, **fields}, unit=unit)["id"]
    search_indexing.update(library, made, work=library.work)
    embeddings.regenerate(library, made, work=library.work)
    return made


def edit(library: Library, resource_id: UUID, **changes: Any) -> None:
    """A change that the index has followed."""
    resources.update(library, resource_id, changes)
    search_indexing.update(library, resource_id, work=library.work)


def found(library: Library, words: str, *, mode: Mode = "keyword", filters: Filters | None = None) -> dict[UUID, str]:
    page = cached_search.search(library, words, mode=mode, filters=filters or Filters(), limit=10)
    return {item.id: item.title for item in page.items}


def misses(library: Library) -> int:
    return library.cache.stats.snapshot().misses


def near(library: Library, resource_id: UUID) -> dict[str, dict[str, Any]]:
    return {item["resource_id"]: item for item in neighbors.read(library, resource_id, hops=1, limit=10)}


@pytest.mark.parametrize("mode", ["keyword", "semantic", "hybrid"])
def test_a_page_shows_documents_as_they_are_and_none_that_is_deleted(
    library: Library, writer: Library, mode: Mode
) -> None:
    one, other = put(library, "An amber lantern.", title="Lamps"), put(library, "An amber lantern too.", title="More")
    assert found(library, "amber lantern", mode=mode) == {one: "Lamps", other: "More"}

    resources.update(writer, one, {"title": "Lanterns"})
    assert found(library, "amber lantern", mode=mode) == {one: "Lanterns", other: "More"}

    resources.delete(writer, other)
    assert found(library, "amber lantern", mode=mode) == {one: "Lanterns"}


def test_a_new_text_is_found_by_its_meaning_once_it_is_embedded(library: Library, writer: Library) -> None:
    one, other = put(library, "An amber lantern."), put(library, "Quantum fields.")
    assert found(library, "amber lantern", mode="semantic").keys() == {one}

    resources.update(writer, other, {"content": "This amber lantern."})
    embeddings.regenerate(writer, other, work=writer.work)

    assert found(library, "amber lantern", mode="semantic").keys() == {one, other}


def test_what_changes_no_answer_leaves_the_page_in_the_cache(library: Library) -> None:
    shown, other = put(library, "An amber lantern."), put(library, "Quantum fields.", title="Physics")
    quality.recompute(library, other, work=library.work)
    assert found(library, "amber").keys() == {shown}
    before = misses(library)

    edit(library, other, rights="Everyone's", title="PHYSICS")  # the same terms
    quality.recompute(library, other, work=library.work)
    citations.extract(library, other, work=library.work)
    resources.update(library, other, {"content": "Quantum fields and strings."})
    embeddings.regenerate(library, other, work=library.work)
    assert found(library, "amber").keys() == {shown}
    assert misses(library) == before

    search_indexing.update(library, other, work=library.work)
    assert found(library, "amber").keys() == {shown}
    assert misses(library) == before + 1


@pytest.mark.parametrize(
    ("change", "filters"),
    [
        ({"language": "fr"}, Filters(language=("fr",))),
        ({"subject": ["light"]}, Filters(subject=("light",))),
        ({"publication_year": 1999}, Filters(year_from=1999, year_to=1999)),
        ({"creator": "Ann Lee"}, Filters(creator=("Ann Lee",))),
        ({"classification_code": "520"}, Filters(classification_code=("520",))),
    ],
)
def test_whatever_is_filtered_by_is_followed(library: Library, change: dict[str, Any], filters: Filters) -> None:
    one = put(library, "An amber lantern.")
    assert found(library, "amber", filters=filters) == {}

    edit(library, one, **change)

    assert found(library, "amber", filters=filters).keys() == {one}


def test_a_score_that_is_filtered_by_is_the_one_of_now(library: Library, writer: Library) -> None:
    one = put(library, "An amber lantern.")
    filters = Filters(quality_min=0.01)
    assert found(library, "amber", filters=filters) == {}

    quality.recompute(writer, one, work=writer.work)

    assert found(library, "amber", filters=filters).keys() == {one}


def test_a_document_that_an_import_brings_back_is_found_though_it_was_never_taken_out_of_the_index(
    library: Library,
) -> None:
    one = put(library, "An amber lantern.")
    lines = list(archives.export(library))
    resources.delete(library, one)
    assert found(library, "amber") == {}

    assert archives.import_lines(library, b"".join(lines)).failures == []
    search_indexing.update(library, one, work=library.work)

    assert found(library, "amber").keys() == {one}


def test_neighbours_are_shown_as_they_are(library: Library, writer: Library) -> None:
    one = put(library, "Zebras graze on the plain.", subject=["zebra"])
    like = put(library, "Zebras graze on the plain too.", title="Grazing")
    gone = put(library, "Zebras graze on the plain as well.")
    assert near(library, one).keys() == {str(like), str(gone)}
    before = misses(library)
    assert near(library, one)[str(like)]["tags"] == 0
    assert misses(library) == before

    resources.update(writer, like, {"title": "Of zebras", "subject": ["zebra"]})
    assert (near(library, one)[str(like)]["title"], near(library, one)[str(like)]["tags"]) == ("Of zebras", 1)

    resources.update(writer, one, {"subject": ["horse"]})
    assert near(library, one)[str(like)]["tags"] == 0

    resources.delete(writer, gone)
    assert near(library, one).keys() == {str(like)}


def test_a_list_of_neighbours_follows_vectors_and_citations(library: Library, writer: Library) -> None:
    one, other = put(library, "Zebras graze on the plain."), put(library, "Quantum fields.", doi="10.1234/far")
    before = near(library, one).get(str(other), {"hops": None, "cosine": 0})

    resources.update(writer, other, {"content": "Zebras graze on the plain too."})
    embeddings.regenerate(writer, other, work=writer.work)
    assert near(library, one)[str(other)]["cosine"] > before["cosine"]

    resources.update(writer, one, {"content": "Zebras graze on the plain, says doi:10.1234/far."})
    citations.extract(writer, one, work=writer.work)
    citation_graph.update(writer, one, work=writer.work)
    assert (before["hops"], near(library, one)[str(other)]["hops"]) == (None, 1)


def test_a_score_that_is_computed_again_from_the_same_version_is_read_anew(library: Library, writer: Library) -> None:
    one = put(library, "An amber lantern.")
    quality.recompute(library, one, work=library.work)

    def read() -> dict[str, Any]:
        with library.database.reader() as session:
            build = derived_states.build_number(session, one, DerivedKind.QUALITY)
        return quality.read(library, one, build=build) or {}

    before = read()
    with writer.work() as unit:
        Rebuild(DerivedKind.QUALITY).begin(writer, unit, one, version=None)
    quality.recompute(writer, one, work=writer.work)
    after = read()

    assert after["built_from"] == before["built_from"] == 1
    assert after["updated_at"] > before["updated_at"]


def test_what_is_read_often_is_still_in_the_cache_after_a_change(library: Library) -> None:
    one, unread = put(library, "An amber lantern."), put(library, "Quantum fields.")
    quality.recompute(library, one, work=library.work)
    resources.get(library, one)
    quality.read(library, one, build=1)
    before = misses(library)

    for made in (one, unread):
        resources.update(library, made, {"title": "Newer", "content": "A cobalt lantern."})
        quality.recompute(library, made, work=library.work)
    shown, score = resources.get(library, one), quality.read(library, one, build=2)

    assert misses(library) == before
    assert (shown["title"], shown["content"], shown["version"]) == ("Newer", "A cobalt lantern.", 2)
    assert score is not None
    assert score["built_from"] == 2
    assert [library.cache.get(f"{kind}:{unread}") for kind in ("resource", "quality")] == [None, None]
    library.cache.delete_all([f"resource:{one}", f"quality:{one}"])
    assert quality.read(library, one, build=2) == score


def test_a_change_of_a_long_text_takes_it_out_of_the_cache(library: Library) -> None:
    one = put(library, "An amber lantern.")
    resources.get(library, one)

    resources.update(library, one, {"content": "lantern " * (resources.SUPERSEDES_CHARS_MAX // 8 + 1)})

    assert library.cache.get(f"resource:{one}") is None
