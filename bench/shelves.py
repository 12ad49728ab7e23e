"""Libraries of thousands of documents, written in bulk: what searches look at is there, and nothing else.

Terms are cut by the product's `SearchIndex.prepare` and written by its term stores, vectors are those of its hashing
engine; the rows of its other tables are inserted many at a time, as its services would leave them.
"""

from __future__ import annotations

import random
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app import migrate
from app.database import Database, open_database
from app.embedding.hashing import HashingEmbedder
from app.index.documents import IndexedDocument
from app.index.postgres_fts import PostgresTermStore
from app.index.search_index import PreparedDocument, SearchIndex
from app.index.sqlite_fts import SqliteTermStore
from app.index.term_store import TermStore
from app.index.vectors import Vectors
from app.index.vocabulary import remember
from app.models.base import new_id
from app.models.derived import Counter, Embedding
from app.models.resource import Resource
from app.models.search import SearchDocument, SearchSubject
from app.services.embedding_changes import CHANGES
from app.settings import load_settings
from bench.servers import Servers
from bench.texts import text_of, vocabulary, words_at

WORDS = 200
"""Of one text: one passage."""
TITLE_WORDS = 6
SUBJECTS, CREATORS = 200, 5000
AT_ONCE = 500
EMBEDDER = HashingEmbedder(max_passages=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One library of that many documents, with its matrix of vectors in this process."""

    engine: str
    size: int
    database: Database
    index: SearchIndex
    vectors: Vectors

    @property
    def name(self) -> str:
        """Engine and size."""
        return f"{self.engine}, {self.size:,} documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A document and what is derived from it, before it is written anywhere."""

    document: IndexedDocument
    prepared: PreparedDocument
    vector: Any


@contextmanager
def shelves(servers: Servers, *, sizes: Sequence[int], seed: int) -> Iterator[list[Shelf]]:
    """One of each size on each engine; the smaller ones hold the first documents of the larger ones."""
    with ExitStack() as stack:
        growing = [
            _Sqlite(Path(stack.enter_context(TemporaryDirectory(prefix="alexandria-shelf-")))),
            _Postgres(servers),
        ]
        found: list[Shelf] = []
        begun = 0
        for size in sorted(sizes):
            for start in range(begun, size, AT_ONCE):
                made = [_made(seed, number) for number in range(start, min(size, start + AT_ONCE))]
                for one in growing:
                    one.write(made, first=start + 1)
            begun = size
            for one in growing:
                database = one.copy(size)
                stack.callback(database.engine.dispose)
                vectors = Vectors(model_id=EMBEDDER.model_id, dimension=EMBEDDER.dimension)
                found.append(Shelf(engine=one.engine, size=size, database=database, index=one.index, vectors=vectors))
        yield found


class _Growing(ABC):
    """A library that is written to, and copied at each size."""

    engine: str

    def __init__(self, url: str, terms: TermStore) -> None:
        self.url, self._terms, self.index = url, terms, SearchIndex(terms)
        self._database = _opened(url)

    def write(self, made: Sequence[_Made], *, first: int) -> None:
        """These documents, numbered from `first`."""
        with self._database.writer() as session:
            _write(session, self._terms, made, first=first)

    @abstractmethod
    def copy(self, size: int) -> Database:
        """A copy as large as this is now, at rest."""


class _Sqlite(_Growing):
    engine = "SQLite"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        super().__init__(f"sqlite:///{directory / 'growing.sqlite3'}", SqliteTermStore())

    def copy(self, size: int) -> Database:
        """By SQLite's own backup."""
        path = self._directory / f"{size}.sqlite3"
        with (
            closing(sqlite3.connect(self._directory / "growing.sqlite3")) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        return _opened(f"sqlite:///{path}")


class _Postgres(_Growing):
    engine = "PostgreSQL"

    def __init__(self, servers: Servers) -> None:
        self._server = servers.postgres()
        super().__init__(self._server.create_database(), PostgresTermStore())

    def copy(self, size: int) -> Database:  # noqa: ARG002 — a database needs no name of ours
        """By `CREATE DATABASE … TEMPLATE`; then what autovacuum does within minutes."""
        self._database.engine.dispose()
        database = _opened(self._server.create_database(template=self.url.rsplit("/", 1)[1]))
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM ANALYZE"))
        return database


def _opened(url: str) -> Database:
    settings = load_settings(database_url=url)
    migrate.upgrade(settings)
    return open_database(settings, role="api")


def _made(seed: int, number: int) -> _Made:
    words = words_at(seed, number, count=TITLE_WORDS + WORDS)
    chosen = random.Random(f"{seed}-{number}")
    document = IndexedDocument(
        resource_id=new_id(),
        built_from=1,
        title=" ".join(words[:TITLE_WORDS]).capitalize(),
        body=text_of(words[TITLE_WORDS:]),
        creator=" ".join(vocabulary()[-chosen.randrange(1, CREATORS) :][:2]).title(),
        subjects=sorted({vocabulary()[int(chosen.paretovariate(1)) % SUBJECTS] for _ in range(3)}),
        language=chosen.choice(("en", "en", "en", "de", "fr")),
        type="text",
        format=chosen.choice(("text/html", "text/html", "application/pdf")),
        publication_year=chosen.randrange(1980, 2026),
    )
    [vector] = EMBEDDER.embed([document.body])
    return _Made(document=document, prepared=SearchIndex(SqliteTermStore()).prepare(document), vector=vector)


def _write(session: Session, terms: TermStore, made: Sequence[_Made], *, first: int) -> None:
    numbered = list(enumerate(made, start=first))
    session.execute(insert(Resource), [_resource(one.document) for one in made])
    session.execute(insert(SearchDocument), [_indexed(number, one) for number, one in numbered])
    subjects = [{"number": number, "subject": subject} for number, one in numbered for subject in one.document.subjects]
    session.execute(insert(SearchSubject), subjects)
    for number, one in numbered:
        terms.write(session, number, one.prepared.streams)
    remember(session, sorted({word for one in made for word in one.prepared.words}))
    session.execute(insert(Embedding), [_embedding(number, one) for number, one in numbered])
    session.merge(Counter(name=CHANGES, value=first + len(made) - 1))


def _resource(document: IndexedDocument) -> dict[str, Any]:
    names = ("title", "creator", "language", "type", "format", "publication_year")
    same: dict[str, Any] = {name: getattr(document, name) for name in names}
    return {
        **same,
        "id": document.resource_id,
        "content": document.body,
        "content_version": 1,
        "subject": list(document.subjects),
    }


def _indexed(number: int, one: _Made) -> dict[str, Any]:
    names = ("built_from", "language", "type", "format", "creator", "publication_year")
    same: dict[str, Any] = {name: getattr(one.document, name) for name in names}
    found: UUID = one.document.resource_id
    return {**same, "number": number, "resource_id": found, "terms_sha256": one.prepared.streams.digest()}


def _embedding(number: int, one: _Made) -> dict[str, Any]:
    return {
        "resource_id": one.document.resource_id,
        "model_id": EMBEDDER.model_id,
        "dim": EMBEDDER.dimension,
        "vector": one.vector.astype("<f4").tobytes(),
        "passage_count": 1,
        "passages": one.vector.astype("<f2").tobytes(),
        "built_from": 1,
        "change": number,
    }
