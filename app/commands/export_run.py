"""One run of `alexandria export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from app.commands.api_client import ApiClient
from app.errors import ApiUnavailable, InvalidInput
from app.services.archives import check_header


def export_to(client: ApiClient, file: Path, *, tell: Callable[[int, int], None]) -> int:
    """Write the export to `file`, which is replaced once all is there; the number of records.

    `tell` takes the records so far and in all. Raises `ApiUnavailable` when the stream ends early.
    """
    part = file.with_name(f"{file.name}.part")
    total, done = 0, -1
    try:
        with part.open("wb") as out:
            for line in client.lines("/export"):
                if done < 0:
                    total = sum(check_header(json.loads(line)).values())
                out.write(line)
                done += 1
                tell(done, total)
    except OSError as error:
        raise InvalidInput(f"cannot write to {part}: {error.strerror}") from error
    if done != total:
        raise ApiUnavailable(f"the export ended after {max(done, 0)} of {total} records; what came is in {part}")
    part.replace(file)
    return total
