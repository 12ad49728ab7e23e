"""The process that reads documents for another: takes requests from a socket and answers each, until that is closed."""

from __future__ import annotations

import resource
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from app.content.document import ExtractedDocument, ExtractionLimits
from app.errors import DocumentTooLarge, PermanentError
from app.supervision.parent_death import die_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments of `extract`."""

    data: bytes
    declared_type: str | None
    file_name: str | None
    source_url: str | None
    limits: ExtractionLimits


def serve(line: Connection) -> None:
    """Answer every request; one empty message before the first says that this is ready."""
    from app.content.extraction import extract  # noqa: F401, PLC0415 — the parent imports this module too, and reads none

    line.send(None)
    while True:
        try:
            request = line.recv()
        except EOFError:
            return
        line.send(_outcome(request))


def _outcome(request: Request) -> ExtractedDocument | PermanentError:
    from app.content.extraction import extract  # noqa: PLC0415

    limits = request.limits
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limits.max_memory_bytes, hard))
    try:
        return extract(
            request.data,
            declared_type=request.declared_type,
            file_name=request.file_name,
            source_url=request.source_url,
            limits=limits,
        )
    except PermanentError as error:
        return error.with_traceback(None)
    except MemoryError:
        return DocumentTooLarge(f"reading the document took more than {limits.max_memory_bytes >> 20} MiB of memory")


def main() -> None:
    """Serve the socket of the descriptor that the first argument names, and end with the process of the second."""
    descriptor, parent = (int(argument) for argument in sys.argv[1:])
    die_with_parent(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    with Connection(descriptor) as line:
        serve(line)
