"""The pages in this process, on SQLite. No broker and no cache answers: no page may need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from app import migrate
from app.cache.redis_cache import RedisCache
from app.database import open_database
from app.embedding.hashing import HashingEmbedder
from app.events.event_system import EventEmitter
from app.index.search_index import open_index
from app.index.vectors import Vectors
from app.main import create_app
from app.services import authors, citations, classifying, embeddings, quality, resources, search_indexing
from app.services.library import Library
from app.settings import load_settings
from chaos.ports import free_port

Put = Callable[..., UUID]
BUILDERS: tuple[Callable[..., None], ...] = (
    *(search_indexing.update, embeddings.regenerate, quality.recompute),
    *(authors.normalise, classifying.classify, citations.extract),
)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    settings = load_settings(
        database_url=f"sqlite:///{tmp_path / 'library.sqlite3'}",
        broker_url=nobody,
        cache_url=nobody,
        ingest_max_bytes=100_000,
    )
    migrate.upgrade(settings)
    database = open_database(settings, role="api")
    embedder = HashingEmbedder(max_passages=4)
    vectors = Vectors(model_id=embedder.model_id, dimension=embedder.dimension)
    library = Library(
        settings=settings,
        database=database,
        emitter=EventEmitter(),
        cache=RedisCache(url=settings.cache),
        index=open_index(database.engine.dialect.name),
        embedding_model=embedder.model_id,
        embedder=lambda: embedder,
        vectors=lambda: vectors,
    )
    yield library
    library.cache.close()
    database.engine.dispose()


@pytest.fixture
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(create_app(library), base_url="http://localhost", follow_redirects=False) as client:
        yield client


@pytest.fixture
def put(library: Library) -> Put:
    """Put a document into the library and build everything derived from it; its id."""

    def put_document(**fields: Any) -> UUID:
        with library.work() as unit:
            made: UUID = resources.create(library, fields, unit=unit)["id"]
        for build in BUILDERS:
            build(library, made, work=library.work)
        return made

    return put_document
