"""`/`: the search, its results, and without one the documents that came last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from app.access import Reads
from app.index.documents import Facets
from app.services import arrivals, cached_search
from app.services.search import SearchPage
from app.web.console import Console, TheConsole
from app.web.page_route import PageRoute
from app.web.question import Question
from app.web.rendering import render, wants_fragment
from app.web.wording import FACETS, facet_value

router = APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[Reads])

PAGE_SIZE = 20
FACET_VALUES_SHOWN = 7
NOTICES = {"deleted": "The document is deleted, and everything derived from it goes with it."}


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetChoice:
    """One value of a facet that narrows the results down."""

    value: str
    label: str
    count: int
    chosen: bool


@router.get("/")
def show_search(request: Request, console: TheConsole) -> Response:
    """The page, or only its results when the search box asks for them."""
    question = Question.of(request.query_params)
    values = {"question": question, **_found(console, question)}
    fragment = wants_fragment(request)
    if not fragment:
        values["notice"] = NOTICES.get(request.query_params.get("done", ""))
        return render(request, "home.html", **values)
    if question.cursor:
        return render(request, "more_hits.html" if question.asks else "more_arrivals.html", **values)
    return render(request, "results.html", headers={"HX-Replace-Url": question.url()}, **values)


@router.get("/console/recent")
def show_recent(request: Request, console: TheConsole) -> Response:
    """The newest documents, asked for again and again while something happens to them."""
    question = Question.of(request.query_params)
    page = arrivals.newest(console.library, limit=PAGE_SIZE, only_failed=question.only_failed)
    return render(request, "recent_again.html", question=question, page=page)


def _found(console: Console, question: Question) -> dict[str, Any]:
    if not question.asks:
        library, failed = console.library, question.only_failed
        return {"page": arrivals.newest(library, limit=PAGE_SIZE, cursor=question.cursor, only_failed=failed)}
    page = _search(console, question)
    return {"page": page, "facets": _choices(page.facets, question.chosen), "snippet_html": Markup}


def _search(console: Console, question: Question) -> SearchPage:
    return cached_search.search(
        console.library,
        question.text,
        mode=question.mode,
        filters=question.filters,
        limit=PAGE_SIZE,
        cursor=question.cursor,
    )


def _choices(facets: Facets, chosen: Mapping[str, Sequence[str]]) -> dict[str, list[FacetChoice]]:
    """The facets worth showing: those that tell hits apart, or that are in use."""
    shown = {}
    for facet in FACETS:
        counts, picked = facets.get(facet, {}), chosen.get(facet, ())
        if len(counts) < 2 and not picked:
            continue
        values = dict.fromkeys((*picked, *list(counts)[:FACET_VALUES_SHOWN]))
        shown[facet] = [
            FacetChoice(
                value=value, label=facet_value(facet, value), count=counts.get(value, 0), chosen=value in picked
            )
            for value in values
        ]
    return shown
