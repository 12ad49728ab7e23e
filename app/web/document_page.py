"""`/library/{id}`: one document, what is derived from it, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse

from app.access import Reads, Writes
from app.errors import InvalidInput, PreconditionFailed
from app.models.derived import DerivedKind, QualityScore
from app.models.resource import Resource
from app.services import (
    arrivals,
    author_pages,
    citation_pages,
    classification,
    consistency,
    ingestion_requests,
    quality,
    resources,
    texts,
)
from app.services.derived_states import input_version
from app.services.library import Library
from app.services.quality import DIMENSIONS
from app.web.console import CausesTasks, TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render, wants_fragment

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/library/{resource_id}")

SHOWN_CHARS = 6_000
SHOWN_CITATIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class KindState:
    """One derived kind: built from `built_from` of `wanted`, its newest input version."""

    kind: DerivedKind
    state: str
    built_from: int
    wanted: int
    attempts: int
    error: dict[str, Any] | None
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionScore:
    """One dimension of quality, 0 to 1, and what pulled it down."""

    name: str
    value: float
    reasons: list[str]


@router.get("", dependencies=[Reads])
def show_document(request: Request, resource_id: UUID, console: TheConsole) -> Response:
    """The whole page, from the database alone."""
    with console.library.database.reader() as session:
        resource = resources.find(session, resource_id)
        text = texts.text_of(session, resource_id, limit_chars=SHOWN_CHARS)
        values = _state_of(console.library, session, resource)
    return render(
        request,
        "document.html",
        text=text,
        can_refresh=resource.fetch_url is not None,
        query=request.query_params.get("q", ""),
        **values,
    )


@router.get("/state", dependencies=[Reads])
def show_state(
    request: Request, resource_id: UUID, console: TheConsole, version: Annotated[int | None, Query()] = None
) -> Response:
    """What is derived, as it is now. A version other than the one shown makes the page read the document again."""
    with console.library.database.reader() as session:
        resource = resources.find(session, resource_id)
        values = _state_of(console.library, session, resource)
    headers = {} if version in {None, resource.version} else {"HX-Trigger": "moved"}
    return render(request, "state.html", headers=headers, **values)


@router.get("/text", dependencies=[Reads])
def show_text(request: Request, resource_id: UUID, console: TheConsole) -> Response:
    """All of a long text."""
    with console.library.database.reader() as session:
        resource = resources.find(session, resource_id)
        text = texts.text_of(session, resource_id)
    template = "text.html" if wants_fragment(request) else "text_page.html"
    return render(request, template, resource=resource, text=text)


@router.post("/refresh", dependencies=[Writes, CausesTasks])
def refresh(resource_id: UUID, console: TheConsole) -> Response:
    """Fetch the page from the web again."""
    with console.library.database.reader() as session:
        resource = resources.find(session, resource_id)
    if resource.fetch_url is None:
        raise InvalidInput("this document did not come from the web")
    ingestion_requests.request_url(console.library, resource.fetch_url, refresh=True)
    return RedirectResponse(f"/library/{resource_id}", 303)


@router.post("/delete", dependencies=[Writes, CausesTasks])
def delete(request: Request, resource_id: UUID, console: TheConsole, version: Annotated[int, Form()]) -> Response:
    """Delete it, unless it has changed since it was shown."""
    try:
        resources.delete(console.library, resource_id, accepted_versions=frozenset({version}))
    except PreconditionFailed as error:
        return render(
            request,
            "error.html",
            status=error.status,
            title="Nothing was deleted",
            detail="This document has changed since you opened it. Look at it once more, then decide.",
            back=f"/library/{resource_id}",
        )
    return RedirectResponse("/?done=deleted", 303)


def _state_of(library: Library, session: Session, resource: Resource) -> dict[str, Any]:
    status = consistency.resource_status(session, resource, embedding_model=library.embedding_model)
    kinds = [
        KindState(kind=DerivedKind(name), wanted=getattr(resource, input_version(DerivedKind(name)).key), **report)
        for name, report in status["derived"].items()
    ]
    ingestion_state = status["ingestion"]["state"]
    is_settled = ingestion_state in arrivals.SETTLED
    has_text = resource.content_version > 0
    score = quality.find(session, resource.id)
    return {
        "resource": resource,
        "authors": author_pages.linked_to(session, resource.id),
        "ingestion": status["ingestion"],
        "kinds": kinds if has_text else [],
        "category": classification.read(library, session, resource.id),
        "score": score,
        "dimensions": _dimensions(score) if score else [],
        "cites": citation_pages.list_page(session, resource.id, direction="outgoing", limit=SHOWN_CITATIONS),
        "cited_by": citation_pages.list_page(session, resource.id, direction="incoming", limit=SHOWN_CITATIONS),
        "settled": is_settled and (not has_text or all(kind.state == "fresh" for kind in kinds)),
    }


def _dimensions(score: QualityScore) -> list[DimensionScore]:
    """Reasons are stored as `dimension: reason`."""
    return [
        DimensionScore(
            name=name,
            value=getattr(score, name),
            reasons=[reason.split(": ", 1)[1] for reason in score.reasons if reason.startswith(f"{name}: ")],
        )
        for name in DIMENSIONS
    ]
