"""`/console/authors/{id}`: one author, all names of his and why they are his, and his documents."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access import Reads
from app.services import author_pages
from app.web.console import TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix="/console/authors/{author_id}")

PAGE_SIZE = 50


@router.get("", dependencies=[Reads])
def show_author(
    request: Request, author_id: UUID, console: TheConsole, cursor: Annotated[str | None, Query(max_length=8000)] = None
) -> Response:
    """The whole page."""
    with console.library.database.reader() as session:
        author = author_pages.find(session, author_id)
        variants = author_pages.variants_of(session, author.id)
        page = author_pages.documents_of(session, author.id, limit=PAGE_SIZE, cursor=cursor)
    return render(request, "author.html", author=author, variants=variants, page=page)
