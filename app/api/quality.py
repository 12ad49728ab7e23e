"""`/quality/…` and the history of a document: quality over time."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.access import Reads
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.schemas.quality import (
    DegradationOut,
    DegradationPage,
    Distribution,
    OutlierOut,
    OutlierPage,
    PastScore,
    QualityHistoryPage,
    SpreadOut,
)
from app.schemas.shape import Cursor, Line
from app.services import quality_pages

router = APIRouter(tags=["derived"], dependencies=[Reads, KnownParametersOnly])

Limit = Annotated[int, Query(ge=1, le=200)]
NextPage = Annotated[Cursor | None, Query(description="`next_cursor` of the page before")]


@router.get(
    "/quality/degradation",
    operation_id="list_quality_degradations",
    summary="Documents whose quality fell",
    responses=problems(422),
)
def list_quality_degradations(library: TheLibrary, limit: Limit = 50, cursor: NextPage = None) -> DegradationPage:
    """Looked for every night at two; one that has recovered is not listed, whenever the last run was."""
    page = quality_pages.degraded(library, limit=limit, cursor=cursor)
    return DegradationPage(
        drop=library.settings.quality_degradation_drop,
        days=library.settings.quality_degradation_days,
        items=[DegradationOut.model_validate(item) for item in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/quality/outliers",
    operation_id="list_quality_outliers",
    summary="Documents that score far below their like",
    responses=problems(422),
)
def list_quality_outliers(library: TheLibrary, limit: Limit = 50, cursor: NextPage = None) -> OutlierPage:
    """Looked for every Sunday at three, by robust statistics over the documents of one language."""
    page = quality_pages.outlying(library, limit=limit, cursor=cursor)
    with library.database.reader() as session:
        documents = quality_pages.scored_count(session)
    return OutlierPage(
        documents=documents,
        needed=library.settings.quality_outlier_min_documents,
        items=[OutlierOut.model_validate(item) for item in page.items],
        next_cursor=page.next_cursor,
    )


@router.get(
    "/quality/distribution",
    operation_id="read_quality_distribution",
    summary="How the scores of all documents spread",
    responses=problems(422),
)
def read_quality_distribution(library: TheLibrary, language: Line | None = None) -> Distribution:
    """Of the scores as they are now."""
    spreads = quality_pages.distribution(library, language=language)
    return Distribution(dimensions={name: SpreadOut.model_validate(one) for name, one in spreads.items()})


@router.get(
    "/resources/{resource_id}/quality/history",
    operation_id="list_quality_history",
    summary="Every score that a document was given",
)
def list_quality_history(
    resource_id: UUID,
    library: TheLibrary,
    limit: Limit = 50,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
) -> QualityHistoryPage:
    """The newest first, for `QUALITY_HISTORY_DAYS`; the newest one is kept for ever."""
    page = quality_pages.history(library, resource_id, limit=limit, cursor=cursor)
    return QualityHistoryPage(items=[PastScore.model_validate(one) for one in page.items], next_cursor=page.next_cursor)
