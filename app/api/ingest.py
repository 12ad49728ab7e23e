"""`POST /ingest`: a web page by its address, or a file by its bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.access import Writes
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.rate_limit import CausesTasks
from app.api.resources import IdempotencyKeyHeader
from app.content.media_types import media_type_of
from app.errors import InvalidInput, TooLarge, UnsupportedType
from app.schemas.ingestion import IngestAccepted, IngestRequest
from app.schemas.sent_file import stored_media_type, stored_name
from app.services import ingestion_requests
from app.services.idempotency import Answer, answer_once, keyed_request
from app.services.ingestion_requests import IngestReceipt
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork

router = APIRouter(tags=["ingestion"])

Act = Callable[[UnitOfWork], Answer]

_FILE_SCHEMA = {
    "type": "object",
    "properties": {"file": {"type": "string", "format": "binary", "description": "HTML, PDF, Markdown or plain text"}},
    "required": ["file"],
    "additionalProperties": False,
}
_REQUEST_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": IngestRequest.model_json_schema()},
        "multipart/form-data": {"schema": _FILE_SCHEMA},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file as it was sent."""

    file: UploadFile
    media_type: str | None
    name: str | None


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[FormData]:
    try:
        form = await request.form(max_files=2, max_fields=8)
    except UnicodeError as error:  # of a charset that cannot be decoded from, as the client named it
        raise HTTPException(400, "the form cannot be read in its charset") from error
    try:
        yield form
    finally:
        await form.close()


async def _sent(request: Request) -> AsyncIterator[IngestRequest | SentFile]:
    """Read the body by its type; `UnsupportedType` for a type that is neither. The file is closed in the end."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        yield _request_of(await request.body())
    elif media_type == "multipart/form-data":
        async with _form(request) as form:
            yield _file_of(form)
    else:
        raise UnsupportedType("send JSON with a url, or multipart/form-data with a file")


@router.post(
    "/ingest",
    status_code=202,
    operation_id="ingest_document",
    summary="Take in a web page or a file",
    responses=problems(400, 413, 415, 422, 429),
    dependencies=[Writes, CausesTasks],
    openapi_extra={"requestBody": _REQUEST_BODY},
)
def ingest_document(
    sent: Annotated[IngestRequest | SentFile, Depends(_sent)],
    library: TheLibrary,
    response: Response,
    idempotency_key: IdempotencyKeyHeader = None,
) -> IngestAccepted:
    """Answers at once; `status_url` tells what became of it. What the library has already is not taken in twice."""
    if isinstance(sent, IngestRequest):
        body, act = sent.model_dump_json().encode(), _by_url(library, sent)
    else:
        body, act = _by_file(library, sent)
    answer = answer_once(library, keyed_request(idempotency_key, b"POST /ingest", body), act)
    response.headers.update(answer.headers)
    return IngestAccepted.model_validate(answer.body)


def _by_url(library: Library, sent: IngestRequest) -> Act:
    def act(unit: UnitOfWork) -> Answer:
        return _accepted(ingestion_requests.request_url(library, sent.url, refresh=sent.refresh, unit=unit))

    return act


def _by_file(library: Library, sent: SentFile) -> tuple[bytes, Act]:
    media_type_of(declared_type=sent.media_type, file_name=sent.name)
    limit = library.settings.ingest_max_bytes
    if (sent.file.size or 0) > limit:
        raise TooLarge(f"the file has {sent.file.size} bytes; the limit is {limit}")
    data = sent.file.file.read()

    def act(unit: UnitOfWork) -> Answer:
        receipt = ingestion_requests.request_upload(
            library, data, media_type=sent.media_type, file_name=sent.name, unit=unit
        )
        return _accepted(receipt)

    return data, act


def _accepted(receipt: IngestReceipt) -> Answer:
    status_url = f"/resources/{receipt.resource_id}/status"
    accepted = IngestAccepted(
        resource_id=receipt.resource_id, call_id=receipt.call_id, status_url=status_url, created=receipt.created
    )
    return Answer(status=202, body=accepted.model_dump(mode="json"), headers={"Location": status_url})


def _request_of(body: bytes) -> IngestRequest:
    try:
        return IngestRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(_located(error)) from error


def _file_of(form: FormData) -> SentFile:
    unknown = {name for name, _ in form.multi_items()} - {"file"}
    files = form.getlist("file")
    if unknown:
        raise InvalidInput(f"unknown part: {', '.join(sorted(name[:100] for name in unknown))}")
    if len(files) != 1 or not isinstance(files[0], UploadFile):
        raise InvalidInput("the form needs one part named file, with a file name")
    file = files[0]
    return SentFile(file=file, media_type=stored_media_type(file.content_type), name=stored_name(file.filename))


def _located(error: ValidationError) -> list[dict[str, Any]]:
    found = error.errors(include_url=False, include_input=False)
    return [{**entry, "loc": ("body", *entry["loc"])} for entry in found]
