"""Problems: every error leaves as `application/problem+json` (RFC 9457), and says nothing of our insides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from asgi_correlation_id.context import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from app.api.methods import allowed_methods
from app.api.rate_limit import TooManyRequests
from app.errors import AlexandriaError, InvalidInput, NotFound, TooLarge, TransientError
from app.schemas.problem import TYPE_PREFIX, FieldProblem

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
FIELD_PROBLEMS_MAX = 50
_SLUGS = {
    HTTPStatus.BAD_REQUEST: "malformed-request",
    HTTPStatus.NOT_FOUND: NotFound.slug,
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.slug,
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
}

log = structlog.get_logger(__name__)


def problem(
    scope: Scope,
    *,
    slug: str,
    status: int,
    title: str,
    detail: str,
    errors: Sequence[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for one problem with one request."""
    body: dict[str, Any] = {
        "type": f"{TYPE_PREFIX}{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": scope.get("path", ""),
        "correlation_id": correlation_id.get() or "",
    }
    if errors is not None:
        body["errors"] = [error.model_dump() for error in errors]
    # ASCII only: a detail may quote half of a surrogate pair that the client sent.
    return Response(json.dumps(body).encode("ascii"), status, headers=headers, media_type=MEDIA_TYPE)


def answer_with_problems(app: FastAPI) -> None:
    """Register the handlers of every expected error; `UnexpectedErrors` has the others."""

    @app.exception_handler(AlexandriaError)
    async def of_ours(request: Request, error: AlexandriaError) -> Response:
        headers = error.headers if isinstance(error, TooManyRequests) else None
        return from_error(request.scope, error, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _from_validation(request.scope, error)

    @app.exception_handler(HTTPException)
    async def of_starlette(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = allowed_methods(app, request.scope)
        return _from_http(request.scope, error, headers=headers)


def from_error(scope: Scope, error: AlexandriaError, *, headers: Mapping[str, str] | None = None) -> Response:
    """The problem that an error of the tree is."""
    all_headers = dict(headers or {})
    if isinstance(error, TransientError):
        all_headers.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
        log.warning("request not served", problem=error.slug, detail=error.detail)
    return problem(
        scope, slug=error.slug, status=error.status, title=error.title, detail=error.detail, headers=all_headers
    )


def unexpected(scope: Scope) -> Response:
    """The problem that a bug is."""
    return problem(
        scope,
        slug=_SLUGS[HTTPStatus.INTERNAL_SERVER_ERROR],
        status=500,
        title="Internal error",
        detail="something went wrong here; the log tells more under this correlation id",
    )


def _from_validation(scope: Scope, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        detail = f"the body is not JSON: {found[0].get('ctx', {}).get('error', '')}"
        return problem(scope, slug="malformed-request", status=400, title="Malformed request", detail=detail)
    errors = [_field_problem(entry) for entry in found[:FIELD_PROBLEMS_MAX]]
    first = errors[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f"{'.'.join(str(part) for part in first.loc)}: {first.msg}{more}"
    return problem(
        scope,
        slug=InvalidInput.slug,
        status=InvalidInput.status,
        title=InvalidInput.title,
        detail=detail,
        errors=errors,
    )


def _shortened(part: str | int) -> str | int:
    return part.removeprefix("Value error, ")[:200] if isinstance(part, str) else part


def _field_problem(entry: Mapping[str, Any]) -> FieldProblem:
    return FieldProblem(loc=[_shortened(part) for part in entry["loc"]], msg=str(_shortened(entry["msg"])))


def _from_http(scope: Scope, error: HTTPException, *, headers: Mapping[str, str]) -> Response:
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {scope.get('path', '')}",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{scope.get('method', '')} is not possible here",
    }
    return problem(
        scope,
        slug=_SLUGS.get(status, status.phrase.lower().replace(" ", "-")),
        status=int(status),
        title=status.phrase,
        detail=details.get(status, str(error.detail)),
        headers=headers,
    )
