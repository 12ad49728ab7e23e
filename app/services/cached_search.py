"""Searches of the library: answered from the cache while nothing they depend on has changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from app.cache.keys import search_query_key
from app.events.event_types import EventType
from app.index.documents import Filters
from app.services.library import Library
from app.services.search import Mode, SearchPage, SearchService

_PAGES = TypeAdapter(SearchPage)


def search(
    library: Library, text: str, *, mode: Mode, filters: Filters, limit: int, cursor: str | None = None
) -> SearchPage:
    """One page of hits, as `SearchService.search` gives it.

    Every commit that changes a resource or what is derived from it drops all cached pages; a page that was computed
    before such a commit is not stored after it.
    """
    question = {"text": text, "mode": mode, "filters": asdict(filters), "limit": limit, "cursor": cursor}
    question["model"] = library.embedding_model  # another one gives another order

    def compute() -> Any:
        with library.database.reader() as session:
            service = SearchService(session, index=library.index, embedder=library.embedder, vectors=library.vectors)
            page = service.search(text, mode=mode, filters=filters, limit=limit, cursor=cursor)
        return _PAGES.dump_python(page, mode="json")

    page = _PAGES.validate_python(library.cache.get_or_compute(search_query_key(question), compute))
    library.emitter.emit(EventType.SEARCH_EXECUTED, {"query": text, "mode": page.mode, "total": page.total})
    return page
