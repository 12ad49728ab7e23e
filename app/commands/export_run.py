"""One run of `alexandria export`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.commands.api_client import ApiClient
from app.errors import ApiUnavailable, InvalidInput
from app.services.archives import check_header


def export_to(client: ApiClient, file: Path, *, tell: Callable[[int, int], None]) -> int:
    """Write the export to `file`, which is replaced once all is there; the number of records.

    `tell` takes the records so far and in all. Raises `ApiUnavailable` when the stream ends early, and `InvalidInput`
    when the file cannot be written, or when another run is writing it.
    """
    part = file.with_name(f"{file.name}.part")
    total, done = 0, -1
    try:
        with _alone(part) as out:
            for line in client.lines("/export"):
                if done < 0:
                    total = sum(check_header(json.loads(line)).values())
                out.write(line)
                done += 1
                tell(done, total)
            out.flush()
            if done == total:
                part.replace(file)  # while nobody else can take the file for a part
    except OSError as error:
        raise InvalidInput(f"cannot write to {part}: {error.strerror}") from error
    if done != total:
        raise ApiUnavailable(f"the export ended after {max(done, 0)} of {total} records; what came is in {part}")
    return total


@contextmanager
def _alone(part: Path) -> Iterator[BinaryIO]:
    """The file, empty, and written by nobody else. The lock ends with its process: who was killed hinders nobody."""
    with part.open("ab") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_still_it = os.path.samestat(part.stat(), os.fstat(out.fileno()))
        except (BlockingIOError, FileNotFoundError):
            is_still_it = False
        if not is_still_it:  # locked, or finished and renamed between the two steps
            raise InvalidInput(f"another export is writing {part}")
        out.truncate(0)
        yield out
