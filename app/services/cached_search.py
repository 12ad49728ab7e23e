"""Searches of the library: answered from the cache while nothing they depend on has changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.cache.keys import search_query_key
from app.events.event_types import EventType
from app.index.documents import Filters
from app.services.kept_pages import PAGES, Numbers, Question, brought_up_to_date, kept
from app.services.library import Library
from app.services.search import Mode, SearchPage, SearchService


def search(
    library: Library, text: str, *, mode: Mode, filters: Filters, limit: int, cursor: str | None = None
) -> SearchPage:
    """One page of hits, as `SearchService.search` gives it.

    A page is compared with the database when it is read, and brought up to date from what was changed since it was
    made (ADR 0036). Only a deletion drops all cached pages; one that was computed before it is not stored after it.
    """
    question = Question(text=text, mode=mode, filters=filters, limit=limit, cursor=cursor)

    def compute() -> dict[str, Any]:
        with library.database.reader() as session:
            numbers = Numbers.read(session)  # before what they number is looked at
            service = SearchService(session, index=library.index, embedder=library.embedder, vectors=library.vectors)
            return kept(service.answer(text, mode=mode, filters=filters, limit=limit, cursor=cursor), numbers)

    def renewed(page: dict[str, Any]) -> dict[str, Any] | None:
        with library.database.reader() as session:
            model = library.embedding_model
            return brought_up_to_date(session, library.index, page, question, embedding_model=model)

    if _is_of_index_alone(filters):
        asked = asdict(question) | {"model": library.embedding_model}  # another one gives another order
        asked["kept"] = "page and rankings"  # what earlier releases kept has another form
        found = library.cache.get_or_compute(search_query_key(asked), compute, renewed=renewed)
    else:
        found = compute()
    page = PAGES.validate_python(found["page"])
    library.emitter.emit(EventType.SEARCH_EXECUTED, {"query": text, "mode": page.mode, "total": page.total})
    return page


def _is_of_index_alone(filters: Filters) -> bool:
    """Scores and who is who change with other documents' builds, and would drop every such page several times each."""
    return filters.quality_min is None and not filters.author
