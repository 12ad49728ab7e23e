"""Rendering: templates with autoescape, and the headers that every page has.

The only HTML that comes from elsewhere are snippets: `app.knowledge.snippets` escapes all of them but `<mark>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from app.access import holder_of
from app.web import wording
from app.web.static_files import static_url

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "private, no-store",
    "Vary": "HX-Request",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(static_url=static_url, wording=wording)


def render(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """The template with `values`, and `console`, `readiness` and `holder` of a key for the frame of the page."""
    console = request.app.state.console
    html = _templates.get_template(template).render(
        console=console, readiness=console.readiness(), holder=holder_of(request.scope), request=request, **values
    )
    # What was typed is shown again, and a client may have spelt half of a surrogate pair.
    return HTMLResponse(html.encode("utf-8", "replace"), status, headers={**HEADERS, **(headers or {})})


def wants_fragment(request: Request) -> bool:
    """Whether a part of the page is asked for, to be put into the one that is shown."""
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-history-restore-request") != "true"
