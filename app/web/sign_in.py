"""`/console/sign-in`: an API key from its reader, kept by the browser; asked for where the API asks for keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from app.access import KEY_COOKIE, SIGN_IN
from app.errors import KeyNeeded
from app.services import api_keys
from app.web.console import TheConsole
from app.web.page_route import PageRoute
from app.web.rendering import render

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_KEY_LENGTH_MAX = 200


@router.get(SIGN_IN)
def show_sign_in(request: Request, next: str = "/") -> Response:  # noqa: A002 — the name in the query
    """The form."""
    return render(request, "sign_in.html", next=_own_path(next), refused=None)


@router.post(SIGN_IN)
def sign_in(
    request: Request,
    console: TheConsole,
    key: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 — the name in the form
) -> Response:
    """Look at the key, and let the browser keep it where no script can read it."""
    shown = key.strip()
    try:
        api_keys.recognise(console.library.database, shown[:_KEY_LENGTH_MAX])
    except KeyNeeded as error:
        return render(request, "sign_in.html", status=error.status, next=_own_path(next), refused=error.detail)
    answer = RedirectResponse(_own_path(next), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(KEY_COOKIE, shown, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/console/sign-out")
def sign_out() -> Response:
    """Let the browser forget the key; the key itself stays in force."""
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(KEY_COOKIE, httponly=True, samesite="strict")
    return answer


def _own_path(wanted: str) -> str:
    """A path of this site, whatever was wanted."""
    inside = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if inside else "/"
