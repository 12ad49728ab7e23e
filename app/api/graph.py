"""The citation graph: `/resources/{id}/citations`, `/resources/{id}/neighbors`, `/graph/overview`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from app.access import Reads
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.schemas.citation import CitationPage, GraphOverview, Neighbors
from app.schemas.shape import Cursor
from app.services import citation_pages, neighbors, resources
from app.services.citation_pages import Direction

router = APIRouter(tags=["graph"], dependencies=[Reads])


@router.get(
    "/resources/{resource_id}/citations",
    operation_id="list_citations",
    summary="What a document cites, or what cites it",
    responses=problems(422),
    dependencies=[KnownParametersOnly],
)
def list_citations(
    resource_id: UUID,
    library: TheLibrary,
    direction: Direction = "outgoing",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before")] = None,
) -> CitationPage:
    """Outgoing in the order of the text. `/resources/{id}/status` says whether they are of the newest text."""
    with library.database.reader() as session:
        resources.find(session, resource_id)
        page = citation_pages.list_page(session, resource_id, direction=direction, limit=limit, cursor=cursor)
    return CitationPage.model_validate(page)


@router.get(
    "/resources/{resource_id}/neighbors",
    operation_id="list_neighbors",
    summary="The documents nearest to one",
    responses=problems(422),
    dependencies=[KnownParametersOnly],
)
def list_neighbors(
    resource_id: UUID,
    library: TheLibrary,
    hops: Annotated[int, Query(ge=1, le=neighbors.HOPS_MAX, description="How far to follow citations")] = 1,
    limit: Annotated[int, Query(ge=1, le=neighbors.LIMIT_MAX)] = 10,
) -> Neighbors:
    """By meaning (0.6), subjects (0.3) and class (0.1), joined with how few citations lie between."""
    with library.database.reader() as session:
        resources.find(session, resource_id)
    return Neighbors.model_validate({"items": neighbors.read(library, resource_id, hops=hops, limit=limit)})


@router.get(
    "/graph/overview",
    response_model=GraphOverview,
    operation_id="read_graph_overview",
    summary="How much is cited, and what is cited most",
)
def read_graph_overview(library: TheLibrary) -> Any:
    """Ranks follow new citations within a minute or so."""
    with library.database.reader() as session:
        return citation_pages.overview(session)
