"""Searches of the library: answered from the cache while nothing they depend on has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select

from app.cache.keys import search_query_key
from app.events.event_types import EventType
from app.index.documents import Filters
from app.models.resource import Resource
from app.services import embedding_changes
from app.services.library import Library
from app.services.search import Mode, SearchPage, SearchService

_PAGES = TypeAdapter(SearchPage)


def search(
    library: Library, text: str, *, mode: Mode, filters: Filters, limit: int, cursor: str | None = None
) -> SearchPage:
    """One page of hits, as `SearchService.search` gives it.

    Every commit that makes the index answer otherwise drops all cached pages; a page that was computed before such a
    commit is not stored after it. What a page owes to vectors, and the documents that it shows, are compared with the
    database when it is read (ADR 0036).
    """
    by_meaning = mode != "keyword"

    def compute() -> dict[str, Any]:
        with library.database.reader() as session:
            vectors = embedding_changes.newest(session) if by_meaning else 0  # before the vectors are looked at
            service = SearchService(session, index=library.index, embedder=library.embedder, vectors=library.vectors)
            page = service.search(text, mode=mode, filters=filters, limit=limit, cursor=cursor)
        return {"vectors": vectors, "page": _PAGES.dump_python(page, mode="json")}

    def holds(kept: Mapping[str, Any]) -> bool:
        return _holds(library, kept, by_meaning=by_meaning)

    if _is_of_index_alone(filters):
        question = {"text": text, "mode": mode, "filters": asdict(filters), "limit": limit, "cursor": cursor}
        question["model"] = library.embedding_model  # another one gives another order
        question["kept"] = "page and vectors"  # what earlier releases kept has another form
        found = library.cache.get_or_compute(search_query_key(question), compute, is_current=holds)
    else:
        found = compute()
    page = _PAGES.validate_python(found["page"])
    library.emitter.emit(EventType.SEARCH_EXECUTED, {"query": text, "mode": page.mode, "total": page.total})
    return page


def _is_of_index_alone(filters: Filters) -> bool:
    """Scores and who is who change with other documents' builds, and would drop every such page several times each."""
    return filters.quality_min is None and not filters.author


def _holds(library: Library, kept: Mapping[str, Any], *, by_meaning: bool) -> bool:
    """Whether no vector has changed since, and every document on the page is as it is shown."""
    shown = {UUID(item["id"]): item["version"] for item in kept["page"]["items"]}
    now = select(Resource.id, Resource.version).where(Resource.id.in_(list(shown)), Resource.deleted_at.is_(None))
    with library.database.reader() as session:
        if by_meaning and embedding_changes.newest(session) != kept["vectors"]:
            return False
        return {row.id: row.version for row in session.execute(now)} == shown
