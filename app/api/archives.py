"""`/export` and `/import`: the whole library as JSON lines, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import StreamingResponse

from app.access import Administers
from app.api.context import Context, TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.rate_limit import CausesTasks
from app.errors import RateLimited, UnsupportedType
from app.schemas.archive import ImportReport
from app.services import archives

LINES = "application/x-ndjson"
router = APIRouter(tags=["archive"], dependencies=[Administers])


class _Lines(StreamingResponse):
    media_type = LINES


async def _lines_only(request: Request) -> None:
    """Refuse another media type by its name."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != LINES:
        raise UnsupportedType(f"{media_type[:100] or 'no type'} is not {LINES}")


def _export_slot(context: Context) -> Iterator[None]:
    """Given back also when the client left before the first line was asked for: then nothing of the stream has run."""
    if not context.exports.acquire(blocking=False):
        raise RateLimited("as many exports as EXPORTS_MAX allows are running")
    try:
        yield
    finally:
        context.exports.release()


@router.get(
    "/export",
    response_class=_Lines,
    operation_id="export_library",
    summary="The whole library as JSON lines",
    responses={**problems(429), 200: {"content": {LINES: {"schema": {"type": "string"}}}}},
    dependencies=[KnownParametersOnly, Depends(_export_slot)],
)
def export_library(library: TheLibrary) -> StreamingResponse:
    """All of one moment, streamed. The first line says how many records follow: fewer mean that it was cut off."""
    lines = archives.export(library)
    return _Lines(lines, headers={"Content-Disposition": 'attachment; filename="library.ndjson"'})


@router.post(
    "/import",
    response_model=ImportReport,
    operation_id="import_records",
    summary="Put lines of an export into the library",
    responses=problems(422, 429),
    dependencies=[CausesTasks, KnownParametersOnly, Depends(_lines_only)],
)
def import_records(
    library: TheLibrary,
    lines: Annotated[bytes, Body(media_type=LINES, min_length=1, examples=[archives.EXAMPLE])],
    check: Annotated[bool, Query(description="Only see which lines could not be taken; write nothing")] = False,
) -> Any:
    """Ids and versions are kept; what is derived follows in the background. The same lines again change nothing."""
    return archives.import_lines(library, lines, is_only_checked=check)
