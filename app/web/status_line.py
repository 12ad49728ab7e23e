"""`/console/status`: the line that says how the house is, from what is known already."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.access import Reads
from app.errors import TransientError
from app.services import consistency
from app.web.console import TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/console", dependencies=[Reads])


@router.get("/status")
def show_status(request: Request, console: TheConsole) -> Response:
    """Readiness, and how much of what is derived is behind."""
    try:
        with console.library.database.reader() as session:
            overview = consistency.overview(session, embedding_model=console.library.embedding_model)
    except TransientError:  # the line says so itself
        overview = None
    return render(request, "status.html", overview=overview)
