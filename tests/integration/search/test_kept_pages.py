"""A page that was brought up to date is the page that a search gives now."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from app.index.documents import Filters
from app.schemas.search import SearchFilters
from app.services import archives, cached_search, embeddings, resources, search_indexing
from app.services.kept_pages import PAGES, Numbers, Question, brought_up_to_date, kept
from app.services.library import Library
from app.services.search import SearchPage, SearchService
from tests.integration.libraries import a_library

pytestmark = pytest.mark.integration

WORDS = [f"{first}{second}{third}" for first in "bdfk" for second in "aeiou" for third in "ln"]
UNFILTERED = Filters(**SearchFilters().model_dump())  # as the API asks
QUESTIONS = [
    Question(text=text, mode=mode, filters=filters, limit=limit, cursor=None)
    for text, filters, limit in (
        ("bal", UNFILTERED, 3),
        ("bel dan", UNFILTERED, 4),
        ("kun", UNFILTERED, 20),
        ('"fon bil" -dul', UNFILTERED, 5),
        ("bal", Filters(language=("de",)), 5),
        ("xyzzy", UNFILTERED, 5),
        ("baln", UNFILTERED, 5),
    )
    for mode in ("keyword", "semantic", "hybrid")
]
DOCUMENTS, WRITES = 16, 24


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


class Writer:
    """Changes documents at random; index and vectors follow at once, later, or not yet."""

    def __init__(self, library: Library, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.library = library
        self.ids = [self.create() for _ in range(DOCUMENTS)]

    def create(self) -> UUID:
        with self.library.work() as unit:
            made: UUID = resources.create(self.library, {"content": self.text(), "title": "A"}, unit=unit)["id"]
        self.follow(made)
        return made

    def text(self) -> str:
        weights = [1 / rank for rank in range(1, len(WORDS) + 1)]
        return " ".join(self.chosen.choices(WORDS, weights=weights, k=self.chosen.randint(5, 40)))

    def follow(self, one: UUID) -> None:
        search_indexing.update(self.library, one, work=self.library.work)
        embeddings.regenerate(self.library, one, work=self.library.work)

    def write(self) -> None:
        """One change, or one that follows it."""
        one, what = self.chosen.choice(self.ids), self.chosen.randrange(8)
        if what == 0:
            self.ids.append(self.create())
        elif what == 1:
            fields = {"language": self.chosen.choice(["de", "en"]), "subject": [self.chosen.choice(WORDS)]}
            resources.update(self.library, one, fields)
        elif what == 2:
            resources.update(self.library, one, {"title": self.chosen.choice(WORDS)})
        elif what < 5:
            resources.update(self.library, one, {"content": self.text()})
        if what < 6:
            search_indexing.update(self.library, one, work=self.library.work)
        if what != 6:
            embeddings.regenerate(self.library, one, work=self.library.work)

    def delete(self) -> None:
        """One document fewer."""
        gone = self.ids.pop(self.chosen.randrange(len(self.ids)))
        resources.delete(self.library, gone)
        search_indexing.update(self.library, gone, work=self.library.work)


def computed(library: Library, question: Question, *, depth: int) -> dict[str, Any]:
    with library.database.reader() as session:
        numbers = Numbers.read(session)
        service = SearchService(
            session, index=library.index, embedder=library.embedder, vectors=library.vectors, depth=depth
        )
        answer = service.answer(
            question.text,
            mode=question.mode,
            filters=question.filters,
            limit=question.limit,
            cursor=question.cursor,
        )
    return kept(answer, numbers)


def renewed(library: Library, page: dict[str, Any], question: Question) -> dict[str, Any] | None:
    with library.database.reader() as session:
        return brought_up_to_date(session, library.index, page, question, embedding_model=library.embedding_model)


def shown(page: SearchPage) -> dict[str, Any]:
    """All that a page says; scores to the fifth place, for cosines are sums of floats."""
    said: dict[str, Any] = PAGES.dump_python(page, mode="json")
    return said | {"items": [item | {"score": pytest.approx(item["score"], abs=2e-5)} for item in said["items"]]}


@pytest.mark.parametrize(("depth", "seed"), [(5, 1), (200, 2)])
def test_what_a_few_changes_make_of_a_page_is_what_a_search_gives(library: Library, depth: int, seed: int) -> None:
    writer = Writer(library, seed)
    pages = [computed(library, question, depth=depth) for question in QUESTIONS]
    brought: Counter[str] = Counter()

    for _ in range(WRITES):
        writer.write()
        if writer.chosen.random() < 0.3:
            continue  # two changes at once
        for number, question in enumerate(QUESTIONS):
            fresh = computed(library, question, depth=depth)
            page = renewed(library, pages[number], question)
            if page is not None:
                assert page["page"] == shown(PAGES.validate_python(fresh["page"])), (question, pages[number])
                assert page["numbers"] == fresh["numbers"] or question.mode == "keyword"
                brought[question.mode] += page is not pages[number]
            pages[number] = fresh if page is None else page

    assert brought["semantic"] > 10
    if library.index.scores_stand_alone:
        assert brought["hybrid"] > 10
        assert brought["keyword"] > 0


def test_a_page_of_a_newer_database_is_not_a_page_of_its_older_copy(library: Library) -> None:
    Writer(library, 4)
    question = QUESTIONS[2]
    page = computed(library, question, depth=200)
    assert renewed(library, page, question) is page

    for number in page["numbers"]:
        ahead = page | {"numbers": page["numbers"] | {number: page["numbers"][number] + 1}}
        assert renewed(library, ahead, question) is None


def test_a_document_that_an_import_brings_back_is_on_kept_pages_again(library: Library) -> None:
    writer = Writer(library, 5)
    [back] = [line for line in archives.export(library) if str(writer.ids[0]).encode() in line]
    resources.update(library, writer.ids[0], {"title": "xyzzy"})
    search_indexing.update(library, writer.ids[0], work=library.work)
    resources.update(library, writer.ids[1], {"title": "xyzzy"})
    search_indexing.update(library, writer.ids[1], work=library.work)

    def found() -> set[UUID]:
        page = cached_search.search(library, "xyzzy", mode="keyword", filters=UNFILTERED, limit=5)
        return {item.id for item in page.items}

    resources.delete(library, writer.ids[0])
    assert found() == {writer.ids[1]}

    archives.import_lines(library, back)  # and nobody has indexed it anew yet

    assert found() == set(writer.ids[:2])


def test_a_cached_page_is_what_a_search_gives_whatever_was_written(library: Library) -> None:
    writer = Writer(library, 3)
    for _ in range(WRITES):
        if writer.chosen.random() < 0.15:
            writer.delete()
        else:
            writer.write()
        for question in QUESTIONS:
            fresh = computed(library, question, depth=200)["page"]
            page = cached_search.search(
                library, question.text, mode=question.mode, filters=question.filters, limit=question.limit
            )
            assert PAGES.dump_python(page, mode="json") == shown(PAGES.validate_python(fresh)), question
    assert library.cache.stats.snapshot().hits > 0
