"""Documentation: the OpenAPI document, with every error an operation can answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.examples import ANSWERS, FORM
from app.api.problems import MEDIA_TYPE
from app.schemas.problem import TYPE_PREFIX, Problem

REFERENCE = "#/components/schemas/{model}"
TAGS = [
    {"name": "ingestion", "description": "Web pages and files into the library"},
    {"name": "resources", "description": "Documents with their metadata"},
    {"name": "derived", "description": "What is computed from a resource, and whether it is still true"},
    {"name": "authors", "description": "Who the names on documents stand for"},
    {"name": "classification", "description": "Which class a document belongs to, and who says so"},
    {"name": "graph", "description": "What cites what, and what is near"},
    {"name": "archive", "description": "The whole library as JSON lines, and back"},
    {"name": "search", "description": "By keyword, by meaning, or both"},
    {"name": "recommendations", "description": "What users do and like, and what suits them"},
    {"name": "batches", "description": "One operation over many documents"},
    {"name": "tasks", "description": "Background work and its failures"},
    {"name": "events", "description": "What happened"},
    {"name": "operations", "description": "How the house is"},
]
DESCRIPTION = (
    "A knowledge library that keeps everything derived from its documents true while they change. "
    f"Errors are `{MEDIA_TYPE}` (RFC 9457) with a stable `type`. Send `X-Request-ID` to choose the correlation id "
    "that events, calls and logs carry. An API that others can reach asks for a key, by one of two headers; each "
    "operation names the scope that the key needs. `alexandria api-key create` makes keys."
)
_MEANINGS = {
    "400": ("malformed-request", "The request cannot be read"),
    "401": ("api-key-needed", "No API key, or one that is unknown or revoked"),
    "403": ("scope-needed", "The API key has not the scope that this needs"),
    "404": ("not-found", "There is no such thing"),
    "409": ("version-conflict", "The state of the thing forbids it; for a document, `version` is stale"),
    "412": ("precondition-failed", "`If-Match` is stale"),
    "413": ("too-large", "The body is over the limit"),
    "415": ("unsupported-type", "This type is not supported"),
    "422": ("invalid-input", "The input does not fit its shape"),
    "429": ("rate-limited", "Too many requests; `Retry-After` says when to come back"),
    "503": ("database-unavailable", "The database does not answer now; try again"),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may answer with these problems."""
    return {status: _problem_response(str(status)) for status in statuses}


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        models = schema.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            models.pop(name, None)
        own = Problem.model_json_schema(ref_template=REFERENCE)
        models.update(own.pop("$defs", {}))
        models["Problem"] = own
        for path, item in schema["paths"].items():
            for operation in item.values():
                _add_problems(path, operation)
        app.openapi_schema = schema
    return app.openapi_schema


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    """What every operation of this form may answer, beside what it declares itself."""
    possible = set()
    if "security" in operation:
        operation["security"].append({})  # asked for unless the API listens on a loopback address
        possible |= {"401", "403"}
    if operation.get("parameters"):
        possible.add("422")
    if "requestBody" in operation:
        possible |= {"400", "413", "415", "422"}
    if "{" in path:
        possible.add("404")
    if path not in {"/livez", "/readyz", "/metrics"}:
        possible.add("503")
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    responses = operation["responses"]
    _add_examples(operation)
    for status in sorted(possible):
        responses[status] = _problem_response(status)
    operation["responses"] = dict(sorted(responses.items()))


def _add_examples(operation: dict[str, Any]) -> None:
    """To its answer, and to a form; the schemas of JSON bodies have theirs."""
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            for content in response.get("content", {}).values():
                content["example"] = ANSWERS[operation["operationId"]]
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if form is not None:
        form["example"] = FORM


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is left out or has a value; in a URL or a header, `null` would be a word."""
    some = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    if len(some) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **some[0]}


def _problem_response(status: str) -> dict[str, Any]:
    slug, meaning = _MEANINGS[status]
    example = {
        "type": f"{TYPE_PREFIX}{slug}",
        "title": meaning.replace("`", ""),
        "status": int(status),
        "detail": "one sentence that says what to change",
        "instance": "/resources",
        "correlation_id": "0198c0de-0000-7000-8000-000000000000",
    }
    schema = {"$ref": REFERENCE.format(model="Problem")}
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}
