"""The library of one process: everything a service needs, chosen once by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.database import Database
from app.events.event_system import Event, EventEmitter
from app.events.execution import StartedCall
from app.services.unit_of_work import UnitOfWork, unit_of_work
from app.settings import Settings

if TYPE_CHECKING:  # whoever opens a library loads what is in it: the relay opens none
    from app.cache.redis_cache import RedisCache
    from app.embedding.embedder import Embedder
    from app.index.search_index import SearchIndex
    from app.index.vectors import Vectors

Work = Callable[[], AbstractContextManager[UnitOfWork]]
"""Opens the unit of work that a service writes its result through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """`embedder` and `vectors` are called, not held: a model is loaded by the first who needs it, and by no other.

    `embedding_model` is the id of that model: what was built by another one is stale.
    """

    settings: Settings
    database: Database
    emitter: EventEmitter
    cache: RedisCache
    index: SearchIndex
    embedding_model: str
    embedder: Callable[[], Embedder]
    vectors: Callable[[], Vectors]

    def work(self, *, call: StartedCall | None = None) -> AbstractContextManager[UnitOfWork]:
        """A unit of work; with `call`, the one that is that call's effect."""
        return unit_of_work(
            self.database,
            emitter=self.emitter,
            cache=self.cache,
            debounce_scale=self.settings.debounce_scale,
            call=call,
        )

    def record(self, event: Event) -> None:
        """Recorder of the emitter: an event emitted outside a unit of work gets one of its own."""
        with self.work() as work:
            work.add(event)
