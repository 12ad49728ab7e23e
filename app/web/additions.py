"""`/console/add`: documents taken in by the forms of the page, and the state of each."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from starlette.responses import RedirectResponse

from app.access import Reads, Writes
from app.content.media_types import media_type_of
from app.errors import InvalidInput, PermanentError, TooLarge
from app.schemas.sent_file import stored_media_type, stored_name
from app.services import arrivals, ingestion_requests
from app.services.ingestion_requests import IngestReceipt
from app.services.library import Library
from app.web.console import CausesTasks, TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render, wants_fragment

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/console")

ASKED_AT_ONCE_MAX = 50
URL_LENGTH_MAX = 2048


@router.post("/add-page", dependencies=[Writes, CausesTasks])
def add_page(request: Request, console: TheConsole, url: Annotated[str, Form()] = "") -> Response:
    """Take in a web page."""
    address = url.strip().replace("\x00", "")
    if not wants_fragment(request):
        receipt = _request_page(console.library, address)
        return RedirectResponse(f"/library/{receipt.resource_id}", 303)
    try:
        receipt = _request_page(console.library, address)
    except PermanentError as error:
        return render(
            request, "refused.html", status=error.status, what=address, title=error.title, detail=error.detail
        )
    added = arrivals.named(console.library, [receipt.resource_id])
    headers = {"HX-Trigger": "added"}
    return render(request, "added.html", headers=headers, added=added, known=not receipt.created, in_place=False)


@router.post("/add-files", dependencies=[Writes, CausesTasks])
def add_files(console: TheConsole, file: list[UploadFile]) -> Response:
    """Take in files from a browser without JavaScript; with it, each goes to `POST /ingest` by itself."""
    receipts = [_request_file(console.library, one) for one in file if one.filename]
    if not receipts:
        raise InvalidInput("no file was chosen")
    target = "/" if len(receipts) > 1 else f"/library/{receipts[0].resource_id}"
    return RedirectResponse(target, 303)


@router.get("/added", dependencies=[Reads])
def show_added(request: Request, console: TheConsole, id: Annotated[list[UUID], Query()] = []) -> Response:  # noqa: A002, B006 — the name in the query; pydantic copies it
    """The lines of documents that were just added, as they are now."""
    added = arrivals.named(console.library, id[:ASKED_AT_ONCE_MAX])
    return render(request, "added.html", added=added, known=False, in_place=True)


def _request_page(library: Library, address: str) -> IngestReceipt:
    if not address:
        raise InvalidInput("type the address of a web page")
    if len(address) > URL_LENGTH_MAX:
        raise InvalidInput(f"the address is longer than {URL_LENGTH_MAX} characters")
    return ingestion_requests.request_url(library, address)


def _request_file(library: Library, file: UploadFile) -> IngestReceipt:
    name, media_type = stored_name(file.filename), stored_media_type(file.content_type)
    media_type_of(declared_type=media_type, file_name=name)
    limit = library.settings.ingest_max_bytes
    if (file.size or 0) > limit:
        raise TooLarge(f"{name or 'the file'} has {file.size:,} bytes; the limit is {limit:,}")
    return ingestion_requests.request_upload(library, file.file.read(), media_type=media_type, file_name=name)
