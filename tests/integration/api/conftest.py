"""The API in this process, on each database.

No broker answers, and on SQLite no cache either: no answer may need them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from app import migrate
from app.cache.redis_cache import RedisCache
from app.database import open_database
from app.embedding.hashing import HashingEmbedder
from app.events.event_system import EventEmitter
from app.events.hooks import register_all_hooks
from app.index.search_index import open_index
from app.index.vectors import Vectors
from app.main import create_app
from app.services.library import Library
from app.settings import Settings, load_settings
from chaos.ports import free_port
from chaos.servers.postgres import PostgresServer
from chaos.servers.redis import RedisServer

# By default a traceback is drawn with every local variable: seconds for each, when a test finds a bug.
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
)

MakeLibrary = Callable[..., Library]


def open_test_library(settings: Settings) -> Library:
    """A library of its own, beside the one that this process would have by its environment."""
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
    register_all_hooks(library.emitter, library.record)
    return library


def nobody_listens(scheme: str = "redis") -> str:
    """The URL of a server that does not run."""
    return f"{scheme}://127.0.0.1:{free_port()}/0"


@pytest.fixture
def make_library(tmp_path: Path, migrated_file: Path) -> Iterator[MakeLibrary]:
    """Libraries on SQLite, each with the settings a test asks for."""
    opened: list[Library] = []

    def make(**settings: Any) -> Library:
        file = tmp_path / "library.sqlite3"
        if not file.exists():
            shutil.copy(migrated_file, file)
        url = f"sqlite:///{file}"
        chosen = {"broker_url": nobody_listens(), "cache_url": nobody_listens(), "database_url": url, **settings}
        made = open_test_library(load_settings(**chosen))
        migrate.upgrade(made.settings)
        opened.append(made)
        return made

    yield make
    for library in opened:
        library.cache.close()
        library.database.engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def library(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
) -> Iterator[Library]:
    """One library for the tests of a module: they ask only for what they put there themselves."""
    on_sqlite = request.param == "sqlite"
    path = tmp_path_factory.mktemp("api") / "library.sqlite3"
    url = f"sqlite:///{path}" if on_sqlite else postgres_server.create_database()
    settings = load_settings(
        database_url=url,
        broker_url=nobody_listens(),
        cache_url=nobody_listens() if on_sqlite else redis_server.database_url(5),
        max_body_bytes=400_000,
        ingest_max_bytes=200_000,
        ingest_max_text_chars=100_000,
        rate_limit_per_minute=0,
        db_pool_size=8,
        db_max_overflow=8,
    )
    migrate.upgrade(settings)
    library = open_test_library(settings)
    yield library
    library.cache.close()
    library.database.engine.dispose()
    if not on_sqlite:
        postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(create_app(library), base_url="http://localhost") as client:
        yield client
