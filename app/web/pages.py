"""Pages: every route of the web console, and its static files."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from app.web import (
    additions,
    author_page,
    dead_letter_page,
    document_page,
    edit_page,
    search_page,
    sign_in,
    status_line,
)
from app.web.console import Console
from app.web.static_files import DIRECTORY, URL_PATH, ConsoleFiles

router = APIRouter(include_in_schema=False)
for part in (search_page, additions, document_page, author_page, edit_page, dead_letter_page, status_line, sign_in):
    router.include_router(part.router)


def add_console(app: FastAPI, console: Console) -> None:
    """Serve the console with `app`."""
    app.state.console = console
    app.include_router(router)
    app.mount(URL_PATH, ConsoleFiles(directory=DIRECTORY), name="static")
