"""Static files: served by names that carry a digest of their bytes, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIRECTORY = Path(__file__).with_name("static")
URL_PATH = "/static"
_DIGEST_LENGTH = 12


class ConsoleFiles(StaticFiles):
    """The files under `static/`. With the right digest in the query they may be kept, else they are asked for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        response = await super().get_response(path, scope)
        asked = scope.get("query_string", b"").decode("latin-1")
        kept = response.status_code in {200, 304} and static_url(path) == f"{URL_PATH}/{path}?{asked}"
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return response


def static_url(path: str) -> str:
    """Where the file `path` (relative to `static/`) is served."""
    file = DIRECTORY / path
    return f"{URL_PATH}/{path}?{_digest(file, modified_ns=file.stat().st_mtime_ns)}"


@lru_cache(maxsize=64)
def _digest(file: Path, *, modified_ns: int) -> str:  # noqa: ARG001 — the time is there to miss the cache
    return hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGEST_LENGTH]
