"""Page route: errors leave as pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from app.errors import AlexandriaError, InvalidInput, NotFound
from app.web.rendering import render, wants_fragment
from app.web.wording import sentence

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

log = structlog.get_logger(__name__)


class PageRoute(APIRoute):
    """A route whose expected errors are pages, or parts of a page where a part was asked for."""

    def get_route_handler(self) -> Handler:
        """The handler of the route, with errors caught."""
        handle = super().get_route_handler()

        async def handle_with_pages(request: Request) -> Response:
            try:
                return await handle(request)
            except AlexandriaError as error:
                return await run_in_threadpool(_error_page, request, error)
            except RequestValidationError as error:
                return await run_in_threadpool(_error_page, request, _as_ours(error))
            except HTTPException as error:  # a form that cannot be read
                return await run_in_threadpool(_error_page, request, InvalidInput(str(error.detail)))

        return handle_with_pages


def _as_ours(error: RequestValidationError) -> AlexandriaError:
    first = error.errors()[0]
    where = str(first["loc"][-1])
    if first["loc"][0] == "path":
        return NotFound("there is no such page")
    return InvalidInput(f"{where}: {first['msg']}")


def _error_page(request: Request, error: AlexandriaError) -> Response:
    if error.status >= 500:
        log.warning("page not served", problem=error.slug, detail=error.detail, path=request.url.path)
    template = "error_notice.html" if wants_fragment(request) else "error.html"
    return render(request, template, status=error.status, title=error.title, detail=sentence(error.detail))
