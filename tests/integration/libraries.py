"""Libraries of their own for tests: the real services over a migrated database, beside what the environment names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app import migrate
from app.cache.redis_cache import RedisCache
from app.database import open_database
from app.embedding.hashing import HashingEmbedder
from app.events.event_system import EventEmitter
from app.events.hooks import register_all_hooks
from app.index.search_index import open_index
from app.index.vectors import Vectors
from app.services.library import Library
from app.settings import load_settings


@contextmanager
def a_library(**settings: Any) -> Iterator[Library]:
    """Migrated, its hooks registered; closed at the end of the block."""
    chosen = load_settings(**settings)
    migrate.upgrade(chosen)
    database = open_database(chosen, role="api")
    embedder = HashingEmbedder(max_passages=4)
    vectors = Vectors(model_id=embedder.model_id, dimension=embedder.dimension)
    library = Library(
        settings=chosen,
        database=database,
        emitter=EventEmitter(),
        cache=RedisCache(url=chosen.cache, deadline_seconds=5),
        index=open_index(database.engine.dialect.name),
        embedding_model=embedder.model_id,
        embedder=lambda: embedder,
        vectors=lambda: vectors,
    )
    register_all_hooks(library.emitter, library.record)
    yield library
    library.cache.close()
    database.engine.dispose()
