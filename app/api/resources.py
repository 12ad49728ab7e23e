"""`/resources`: create, list, read, change, delete."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from app.access import Reads, Writes
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.preconditions import IfMatch, IfNoneMatch, etag, is_known, versions_of
from app.api.rate_limit import CausesTasks
from app.errors import UnsupportedType
from app.models.resource import IngestionState
from app.schemas.resource import IngestionStatus, ResourceCreate, ResourceOut, ResourcePage, ResourceUpdate
from app.schemas.shape import Cursor, Line
from app.services import resource_pages, resources
from app.services.idempotency import Answer, answer_once, keyed_request
from app.services.resource_pages import ResourceFilter, Sort
from app.services.unit_of_work import UnitOfWork

router = APIRouter(prefix="/resources", tags=["resources"])

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]+$",
        max_length=200,
        description="Sent again with the same request: the same answer, and nothing happens twice",
    ),
]
_ETAG = {"ETag": {"description": "The version, in quotes", "schema": {"type": "string"}}}


async def _json_only(request: Request) -> None:
    """Refuse another media type by its name, before its bytes are refused for not being JSON."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedType(f"{media_type[:100]} is not JSON")


JsonOnly = Depends(_json_only)


@router.post(
    "",
    status_code=201,
    operation_id="create_resource",
    summary="Add a document by its text and metadata",
    responses={**problems(429), 201: {"headers": _ETAG}},
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def create_resource(
    body: ResourceCreate, library: TheLibrary, response: Response, idempotency_key: IdempotencyKeyHeader = None
) -> ResourceOut:
    """Everything derived from it is built at once in the background: see `/resources/{id}/status`."""
    request = keyed_request(idempotency_key, b"POST /resources", body.model_dump_json(exclude_unset=True).encode())

    def act(unit: UnitOfWork) -> Answer:
        created = resources.create(library, body.model_dump(exclude_unset=True), unit=unit)
        shown = ResourceOut.model_validate(created)
        headers = {"ETag": etag(shown.version), "Location": f"/resources/{shown.id}"}
        return Answer(status=201, body=shown.model_dump(mode="json"), headers=headers)

    answer = answer_once(library, request, act)
    response.headers.update(answer.headers)
    return ResourceOut.model_validate(answer.body)


@router.get(
    "",
    operation_id="list_resources",
    summary="List documents, page by page",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_resources(  # noqa: PLR0917 — query parameters, given by name
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before")] = None,
    sort: Annotated[Sort, Query(description="`-`: largest first")] = "-created_at",
    language: Line | None = None,
    type: Line | None = None,  # noqa: A002 — the name of the field
    format: Line | None = None,  # noqa: A002 — the name of the field
    creator: Line | None = None,
    subject: Annotated[Line | None, Query(description="One of its subjects")] = None,
    source: Line | None = None,
    ingestion_status: IngestionStatus | None = None,
) -> ResourcePage:
    """Filters compare whole values. An insert while you turn the pages repeats nothing."""
    wanted = ResourceFilter(
        language=language,
        type=type,
        format=format,
        creator=creator,
        subject=subject,
        source=source,
        ingestion_status=IngestionState(ingestion_status) if ingestion_status else None,
    )
    page = resource_pages.list_page(library, limit=limit, cursor=cursor, sort=sort, wanted=wanted)
    return ResourcePage.model_validate(page)


@router.get(
    "/{resource_id}",
    response_model=ResourceOut,
    operation_id="read_resource",
    summary="Read one document",
    responses={200: {"headers": _ETAG}, 304: {"description": "Not changed since", "headers": _ETAG}},
    dependencies=[Reads],
)
def read_resource(resource_id: UUID, library: TheLibrary, response: Response, if_none_match: IfNoneMatch = None) -> Any:
    """Always what the last committed change made of it, also while the cache is away."""
    resource = resources.get(library, resource_id)
    headers = {"ETag": etag(resource["version"]), "Cache-Control": "private, no-cache"}
    is_final = resource["ingestion_status"] == IngestionState.COMPLETED
    if is_final and is_known(resource["version"], if_none_match):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return resource


@router.put(
    "/{resource_id}",
    operation_id="update_resource",
    summary="Change some fields of a document",
    responses={**problems(409, 412, 429), 200: {"headers": _ETAG}},
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def update_resource(
    resource_id: UUID, body: ResourceUpdate, library: TheLibrary, response: Response, if_match: IfMatch = None
) -> ResourceOut:
    """Fields that are not named stay. What is derived from the changed ones follows in the background."""
    updated = resources.update(
        library,
        resource_id,
        body.model_dump(exclude_unset=True, exclude={"version"}),
        expected_version=body.version,
        accepted_versions=versions_of(if_match),
    )
    response.headers["ETag"] = etag(updated["version"])
    return ResourceOut.model_validate(updated)


@router.delete(
    "/{resource_id}",
    status_code=204,
    operation_id="delete_resource",
    summary="Delete a document and everything derived from it",
    responses=problems(412, 429),
    dependencies=[Writes, CausesTasks],
)
def delete_resource(resource_id: UUID, library: TheLibrary, if_match: IfMatch = None) -> None:
    """It is found no more from now on; deleting it again is 404."""
    resources.delete(library, resource_id, accepted_versions=versions_of(if_match))
