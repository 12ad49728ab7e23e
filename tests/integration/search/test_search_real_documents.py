"""Exact phrases from the middle of real pages: found, on both engines, among the first three."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import UUID

import lxml.html
import pytest

from app.database import Database
from app.index.documents import IndexedDocument
from app.index.search_index import open_index
from app.knowledge.terms import terms_of
from app.models.resource import Resource
from tests.documents import postgresql_doc_pages, python_doc_pages
from tests.integration.search.shelf import Shelf

pytestmark = pytest.mark.integration

PAGES, WORDS = 150, 8
MAIN = "//*[@role='main'] | //body/div[@class='sect1' or @class='refentry' or @class='chapter' or @class='appendix']"
SEED = 12_5


def _pages() -> list[tuple[str, str]]:
    chosen = random.Random(SEED).sample(python_doc_pages() + postgresql_doc_pages(), 3 * PAGES)
    found: list[tuple[str, str]] = []
    for path in chosen:
        root = lxml.html.parse(str(path), lxml.html.HTMLParser(encoding="utf-8")).getroot()
        main = [] if root is None else root.xpath(MAIN)
        if main and len(text := main[0].text_content()) < 200_000 and len(text.split()) > 100:
            found.append((path.name, text))
    return found[:PAGES]


@pytest.fixture(scope="module")
def pages(database: Database) -> Iterator[list[tuple[UUID, str]]]:
    shelf = Shelf(database)
    with database.writer() as session:
        index = open_index(database.engine.dialect.name)
        kept = []
        for name, text in _pages():
            resource = Resource(title=name, content=text, content_version=1)
            session.add(resource)
            session.flush()
            index.upsert(session, IndexedDocument(resource_id=resource.id, built_from=1, title=name, body=text))
            kept.append((resource.id, text))
    yield kept
    shelf.clear()


def _phrases(pages: list[tuple[UUID, str]]) -> list[tuple[UUID, str]]:
    """The phrase in the middle of each page that no other page has: else none of them could be meant."""
    streams = {one: f" {' '.join(terms_of(text))} " for one, text in pages}
    phrases = []
    for one, text in pages:
        words = text.split()
        middle = len(words) // 2
        phrase = " ".join(words[middle : middle + WORDS])
        row = f" {' '.join(terms_of(phrase))} "
        if len(row.split()) >= WORDS // 2 and sum(row in stream for stream in streams.values()) == 1:
            phrases.append((one, phrase))
    return phrases


def _missed(shelf: Shelf, asked: list[tuple[UUID, str]]) -> list[str]:
    return [text for one, text in asked if one not in [hit.resource_id for hit in shelf.search(text, limit=3).hits]]


def test_an_exact_phrase_finds_its_page_among_the_first_three(
    database: Database, pages: list[tuple[UUID, str]]
) -> None:
    phrases = _phrases(pages)
    plain = [(one, phrase) for one, phrase in phrases if " -" not in phrase and '"' not in phrase and ":" not in phrase]

    assert len(phrases) >= 100
    assert len(plain) >= 80
    assert _missed(Shelf(database), [(one, f'"{phrase.replace(chr(34), " ")}"') for one, phrase in phrases]) == []
    assert _missed(Shelf(database), plain) == []
