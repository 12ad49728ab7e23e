"""What a search answers: modes, pages, snippets and suggestions, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import numpy as np
import pytest

from app.embedding.embedder import ProcessEmbedder
from app.embedding.hashing import HashingEmbedder
from app.errors import EmbedderUnavailable, InvalidInput
from app.index.documents import Filters
from app.index.vectors import Vectors
from app.models.base import now
from app.models.derived import Embedding
from app.models.resource import Resource
from app.services.search import DEPTH, Mode, SearchPage, SearchService
from app.settings import load_settings
from tests.integration.search.shelf import Shelf

pytestmark = pytest.mark.integration

EMBEDDER = HashingEmbedder(max_passages=64)
MODES: list[Mode] = ["keyword", "semantic", "hybrid"]


class Library:
    """A shelf whose documents have embeddings, and the service that searches it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.vectors = Vectors(model_id=EMBEDDER.model_id, dimension=EMBEDDER.dimension)
        self.change = 0
        self.depth = DEPTH

    def put(self, title: str, content: str, **fields: object) -> UUID:
        one = self.shelf.put(title, content, **fields)
        passages = EMBEDDER.passages(content)
        rows = EMBEDDER.embed(passages)
        self.change += 1
        with self.shelf.database.writer() as session:
            row = Embedding(
                resource_id=one,
                model_id=EMBEDDER.model_id,
                dim=EMBEDDER.dimension,
                vector=rows.mean(axis=0).astype("<f4").tobytes(),
                passage_count=len(passages),
                passages=np.asarray(rows, dtype="<f2").tobytes(),
                built_from=1,
                change=self.change,
            )
            session.add(row)
        return one

    @contextmanager
    def service(self) -> Iterator[SearchService]:
        with self.shelf.database.reader() as session:
            yield SearchService(
                session,
                index=self.shelf.index,
                embedder=lambda: EMBEDDER,
                vectors=lambda: self.vectors,
                depth=self.depth,
            )

    def search(
        self,
        text: str,
        *,
        mode: Mode = "hybrid",
        filters: Filters | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        with self.service() as service:
            return service.search(text, mode=mode, filters=filters, limit=limit, cursor=cursor)

    def titles(self, text: str, *, mode: Mode = "hybrid", filters: Filters | None = None) -> list[str]:
        return [item.title for item in self.search(text, mode=mode, filters=filters).items]


@pytest.fixture
def library(shelf: Shelf) -> Library:
    return Library(shelf)


def test_a_hit_shows_what_it_is_and_where_it_was_found(library: Library) -> None:
    one = library.put(
        "Heaps", "<b>All</b> heap queues are lists.", creator="K. O'Connor", language="en", format="text/html"
    )

    item = library.search("queue", mode="keyword").items[0]

    assert (item.id, item.title, item.creator, item.language, item.format) == (
        one,
        "Heaps",
        "K. O'Connor",
        "en",
        "text/html",
    )
    assert item.snippet == "&lt;b&gt;All&lt;/b&gt; heap <mark>queues</mark> are lists."
    assert item.score > 0
    assert item.created_at <= now()


def test_semantic_search_shows_the_passage_that_is_nearest(library: Library) -> None:
    filler = "Nothing of any interest is said in this sentence at all. " * 80
    needle = "Zebras graze on the wide savanna at dawn. " * 40
    library.put("deep", f"{filler}\n\n{needle}\n\n{filler}")
    library.put("other", "Trains run on rails of steel.")

    page = library.search("zebras graze on the savanna", mode="semantic")

    assert page.items[0].title == "deep"
    assert "<mark>Zebras graze on the</mark> wide <mark>savanna</mark>" in page.items[0].snippet


def test_hybrid_search_has_the_hits_of_both(library: Library) -> None:
    library.put("both", "zebras graze on the savanna")
    library.put("near", "a herd of zebras on the savanna eats grass")
    library.put("far", "steel rails")
    keyword = library.titles("zebras graze", mode="keyword")
    semantic = library.titles("zebras graze", mode="semantic")

    page = library.search("zebras graze", mode="hybrid")

    assert keyword == ["both"]
    assert semantic[:2] == ["both", "near"]
    assert [item.title for item in page.items][:2] == ["both", "near"]
    assert page.total == len({*keyword, *semantic})


@pytest.mark.parametrize("mode", MODES)
def test_exclusions_fields_and_filters_hold_in_every_mode(library: Library, mode: Mode) -> None:
    library.put("one", "zebras graze on the savanna", language="en", publication_year=2020)
    library.put("two", "zebras graze in the zoo", language="en", publication_year=1999)
    library.put("three", "zebras graze in the park", language="de", publication_year=2020)

    assert set(library.titles("zebras graze", mode=mode)) == {"one", "two", "three"}
    assert set(library.titles("zebras graze -zoo", mode=mode)) == {"one", "three"}
    assert set(library.titles("zebras graze title:two", mode=mode)) == {"two"}
    assert set(library.titles("zebras graze year:2020 language:de", mode=mode)) == {"three"}
    assert set(library.titles("zebras graze", mode=mode, filters=Filters(language=["en"], year_from=2000))) == {"one"}


@pytest.mark.parametrize("mode", MODES)
def test_deleted_resources_are_not_found_while_what_is_derived_lags(library: Library, mode: Mode) -> None:
    library.put("gone", "zebras graze", language="en")
    library.put("here", "zebras graze", language="en")
    library.shelf.delete("gone", indexed=False)

    page = library.search("zebras graze", mode=mode)

    assert [item.title for item in page.items] == ["here"]
    assert page.total == 1
    assert page.facets["language"] == {"en": 1}


@pytest.mark.parametrize("mode", MODES)
def test_pages_go_through_every_hit_once(library: Library, mode: Mode) -> None:
    for number in range(23):
        library.put(f"t{number}", f"zebras graze {'slowly ' * (number % 5)}", language="en")

    seen, cursor, pages = [], None, 0
    while True:
        page = library.search("zebras graze", mode=mode, limit=5, cursor=cursor)
        seen += [item.title for item in page.items]
        pages += 1
        assert page.total == 23
        assert page.facets["language"] == {"en": 23}
        if page.next_cursor is None:
            break
        cursor = page.next_cursor

    assert pages == 5
    assert sorted(seen) == sorted(library.shelf.ids)


def test_a_page_that_ends_with_the_last_hit_has_no_next(library: Library) -> None:
    for number in range(4):
        library.put(f"t{number}", "zebras graze")

    assert library.search("zebras", mode="keyword", limit=4).next_cursor is None


def test_a_cursor_belongs_to_its_search(library: Library) -> None:
    for number in range(4):
        library.put(f"t{number}", "zebras graze")
    cursor = library.search("zebras", mode="keyword", limit=2).next_cursor

    with pytest.raises(InvalidInput, match="cursor"):
        library.search("graze", mode="keyword", cursor=cursor)
    with pytest.raises(InvalidInput, match="cursor"):
        library.search("zebras", mode="hybrid", cursor=cursor)
    with pytest.raises(InvalidInput, match="cursor"):
        library.search("zebras", mode="keyword", filters=Filters(language=["en"]), cursor=cursor)
    with pytest.raises(InvalidInput, match="cursor"):
        library.search("zebras", mode="keyword", cursor="AAAA")


def test_few_admitted_among_many_near_are_all_found(library: Library) -> None:
    library.depth = 3
    for number in range(20):
        library.put(f"near{number}", "zebras graze", language="en")
    library.put("far", "zebras graze on the savanna with others", language="de")

    assert library.titles("zebras graze", mode="semantic", filters=Filters(language=["de"])) == ["far"]
    assert len(library.titles("zebras graze", mode="semantic")) == 3


def test_without_an_embedder_hybrid_answers_by_words_and_says_so(shelf: Shelf) -> None:
    shelf.put("one", "zebras graze")
    with shelf.database.reader() as session:
        service = SearchService(session, index=shelf.index)

        assert service.search("zebras", mode="hybrid").mode == "keyword"
        assert service.search("zebras", mode="hybrid").total == 1
        with pytest.raises(EmbedderUnavailable):
            service.search("zebras", mode="semantic")


def test_with_an_embedder_that_cannot_be_loaded_hybrid_answers_by_words_and_says_so(shelf: Shelf) -> None:
    of_an_extra_that_is_not_installed = load_settings(embedding_engine="sentence-transformers")
    embedder = ProcessEmbedder(lambda: of_an_extra_that_is_not_installed)
    shelf.put("one", "zebras graze")
    with shelf.database.reader() as session:
        service = SearchService(session, index=shelf.index, embedder=embedder.get, vectors=no_vectors)

        page = service.search("zebras", mode="hybrid")
        assert (page.mode, page.total) == ("keyword", 1)
        with pytest.raises(EmbedderUnavailable, match="EMBEDDING_ENGINE") as refused:
            service.search("zebras", mode="semantic")
        assert refused.value.status == 503


def no_vectors() -> Vectors:
    raise AssertionError("nothing can be compared without a model")


@pytest.mark.parametrize("mode", MODES)
def test_a_query_of_facets_alone_lists_what_has_them(library: Library, mode: Mode) -> None:
    library.put("one", "zebras", language="en")
    library.put("two", "zebras", language="de")

    assert library.titles("language:de", mode=mode) == ["two"]
    assert library.titles("-zebras", mode=mode) == []
    assert library.titles("", mode=mode) == []


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_a_search_whose_words_find_nothing_suggests_others(library: Library, mode: Mode) -> None:
    library.put("one", "zebras graze")

    assert library.search("zerbas graze", mode=mode).did_you_mean == "zebras graze"
    assert library.search("zebras graze", mode=mode).did_you_mean is None


def test_an_embedding_that_lags_behind_its_content_gives_a_snippet_all_the_same(library: Library) -> None:
    one = library.put("one", ("zebras graze here. " * 200) + "\n\n" + ("The last passage speaks of lions. " * 60))
    with library.shelf.database.writer() as session:
        session.get_one(Resource, one).content = "short now"

    page = library.search("the last passage speaks of lions", mode="semantic")

    assert [item.snippet for item in page.items] == ["short now"]
