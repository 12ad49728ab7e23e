"""The one place where a process chooses concrete things."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from app.cache.redis_cache import cache
from app.database import Role, get_database
from app.embedding.embedder import get_embedder
from app.embedding.model_ids import OF_ENGINE
from app.events.event_system import event_emitter
from app.events.hooks import register_all_hooks
from app.index.search_index import open_index
from app.services import upkeep
from app.services.library import Library
from app.settings import Settings, get_settings

if TYPE_CHECKING:
    from app.index.vectors import Vectors


def open_library(settings: Settings | None = None, *, role: Role = "worker") -> Library:
    """The library of this process, its hooks registered. Nothing is connected yet, and no model loaded."""
    database = get_database(role)
    settings = settings or get_settings()
    library = Library(
        settings=settings,
        database=database,
        emitter=event_emitter,
        cache=cache,
        index=open_index(database.engine.dialect.name),
        embedding_model=OF_ENGINE[settings.embedding_engine],
        embedder=get_embedder,
        vectors=_vectors,
    )
    cache.on_event = _tell
    cache.on_return = partial(upkeep.after_cache_return, library)
    register_all_hooks(event_emitter, library.record)
    return library


@lru_cache(maxsize=1)
def _vectors() -> Vectors:
    from app.index.vectors import Vectors  # noqa: PLC0415 — numpy is not loaded before the model

    embedder = get_embedder()
    return Vectors(model_id=embedder.model_id, dimension=embedder.dimension)


def _tell(name: str, data: dict[str, Any]) -> None:
    event_emitter.emit(name, data)
