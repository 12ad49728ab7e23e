"""`/search`: short answers with GET, whole ones with POST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.access import Reads
from app.api.context import TheLibrary
from app.api.resources import JsonOnly
from app.index.documents import Filters
from app.schemas.search import SearchFilters, SearchHit, SearchParameters, SearchRequest, SearchResults
from app.services import cached_search

router = APIRouter(prefix="/search", tags=["search"], dependencies=[Reads])


@router.get(
    "",
    response_model=list[SearchHit],
    operation_id="find",
    summary="Find documents",
)
def find(parameters: Annotated[SearchParameters, Query()], library: TheLibrary) -> Any:
    """The best hits first. Any text is a query; one that finds nothing answers `[]`."""
    filters = parameters.model_dump(include=set(SearchFilters.model_fields))
    page = cached_search.search(
        library, parameters.query, mode=parameters.mode, filters=Filters(**filters), limit=parameters.limit
    )
    return page.items


@router.post(
    "",
    response_model=SearchResults,
    operation_id="search",
    summary="Find documents, with facets, suggestions and pages",
    dependencies=[JsonOnly],
)
def search(body: SearchRequest, library: TheLibrary) -> Any:
    """Facets count all hits, not only those of this page."""
    return cached_search.search(
        library,
        body.text,
        mode=body.mode,
        filters=Filters(**body.filters.model_dump()),
        limit=body.limit,
        cursor=body.cursor,
    )
