"""`/batches`: one operation over many resources."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access import Reads, Writes, holder_of
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.rate_limit import CausesTasks
from app.api.resources import IdempotencyKeyHeader, JsonOnly
from app.models.batch import BatchOperation, ItemState
from app.models.resource import IngestionState
from app.schemas.batch import BatchCreate, BatchItemOut, BatchItemPage, BatchOut, BatchPage, ItemStateName, ProgressOut
from app.services import batch_reports, batches
from app.services.batch_reports import BatchReport
from app.services.idempotency import Answer, answer_once, keyed_request
from app.services.resource_pages import ResourceFilter
from app.services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/batches", tags=["batches"])

_DIRECT = ("id", "operation", "state", "total", "asked_by", "created_at", "started_at", "finished_at")
LAST_PLACE = 2**31 - 1


@router.post(
    "",
    status_code=202,
    operation_id="create_batch",
    summary="Do one thing to many documents",
    responses=problems(429),
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def create_batch(
    body: BatchCreate,
    library: TheLibrary,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKeyHeader = None,
) -> BatchOut:
    """Its documents are written down first: one that is added later is not in it. Interactive work goes before it."""
    keyed = keyed_request(idempotency_key, b"POST /batches", body.model_dump_json(exclude_unset=True).encode())
    chosen = body.model_fields_set

    def act(unit: UnitOfWork) -> Answer:
        batch = batches.create(
            unit,
            BatchOperation(body.operation),
            ids=body.ids if "ids" in chosen else None,
            wanted=None if "ids" in chosen else _filter(body),
            by=_who(request),
        )
        shown = _shown(batch_reports.report(unit.session, batch, failures=0))
        return Answer(status=202, body=shown.model_dump(mode="json"), headers={"Location": f"/batches/{batch.id}"})

    answer = answer_once(library, keyed, act)
    response.headers.update(answer.headers)
    return BatchOut.model_validate(answer.body)


@router.get(
    "",
    operation_id="list_batches",
    summary="List batches, page by page",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_batches(
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[UUID | None, Query(description="`next_cursor` of the page before")] = None,
) -> BatchPage:
    """The newest first. They are kept for `BATCH_RETENTION_DAYS` after their end."""
    page = batch_reports.list_page(library, limit=limit, cursor=cursor)
    return BatchPage(items=[_shown(one) for one in page.items], next_cursor=page.next_cursor)


@router.get(
    "/{batch_id}", operation_id="read_batch", summary="How far a batch is, and what failed", dependencies=[Reads]
)
def read_batch(batch_id: UUID, library: TheLibrary) -> BatchOut:
    """An item counts as done when what was asked for is there, not when it was asked for."""
    return _shown(batch_reports.read(library, batch_id))


@router.get(
    "/{batch_id}/items",
    operation_id="list_batch_items",
    summary="The documents of a batch, each with its state and reason",
    dependencies=[Reads, KnownParametersOnly],
)
def list_batch_items(
    batch_id: UUID,
    library: TheLibrary,
    state: ItemStateName | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[int | None, Query(ge=0, le=LAST_PLACE, description="`next_cursor` of the page before")] = None,
) -> BatchItemPage:
    """In the order in which they are begun. What a cancelled batch has not begun stays `waiting`."""
    wanted = ItemState(state) if state else None
    page = batch_reports.list_items(library, batch_id, state=wanted, limit=limit, cursor=cursor)
    return BatchItemPage(items=[BatchItemOut.model_validate(one) for one in page.items], next_cursor=page.next_cursor)


@router.post(
    "/{batch_id}/cancel",
    operation_id="cancel_batch",
    summary="Begin no further document of a batch",
    responses=problems(409, 429),
    dependencies=[Writes, CausesTasks],
)
def cancel_batch(batch_id: UUID, library: TheLibrary) -> BatchOut:
    """What was begun comes to its end, and nothing is undone. Sent again it changes nothing; 409 when completed."""
    with library.work() as unit:
        batch = batches.cancel(unit, batch_id)
        return _shown(batch_reports.report(unit.session, batch, failures=batch_reports.FAILURES_SHOWN))


def _filter(body: BatchCreate) -> ResourceFilter:
    if "everything" in body.model_fields_set:
        return ResourceFilter()
    given: dict[str, Any] = body.filter.model_dump(exclude_unset=True)
    if "ingestion_status" in given:
        given["ingestion_status"] = IngestionState(given["ingestion_status"])
    return ResourceFilter(**given)


def _shown(one: BatchReport) -> BatchOut:
    return BatchOut(
        **{name: getattr(one.batch, name) for name in _DIRECT},
        filter=one.batch.wanted,
        progress=ProgressOut.model_validate(one.progress),
        failures=[BatchItemOut.model_validate(item) for item in one.failures],
    )


def _who(request: Request) -> str:
    holder = holder_of(request.scope)
    if holder is not None:
        return f"key {holder.name}"
    return f"api {request.client.host if request.client else 'unknown'}"
