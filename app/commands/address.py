"""Where the API is that a command talks to."""

from __future__ import annotations

from typing import Annotated

import typer

Api = Annotated[
    str | None,
    typer.Option("--api", metavar="URL", help="Address of the API; the one running on DATA_DIR when left out."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def api_address(given: str | None) -> str:
    """The address given, the one that `up` or `api` wrote down, or the one they would choose."""
    from app.settings import get_settings
    from app.supervision.run_state import read_address

    settings = get_settings()
    written = read_address(settings.data_dir)
    return given or written or f"http://{settings.api_host}:{settings.api_port}"
