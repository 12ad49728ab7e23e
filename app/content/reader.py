"""DocumentReader: documents are read in a process of their own, because nothing else ends a parser that is in C code.

The process is started for the first document, reads one after another, and is ended and replaced when one takes too
long (docs/adr/0023). It knows no setting, no database and no broker.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock

import psutil

from app.content.document import ExtractedDocument, ExtractionLimits, out_of_time
from app.content.language import language_of
from app.content.reader_process import Request
from app.errors import BrokenDocument, PermanentError, TransientError

_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5  # for the process to say by itself that its time is used up
_TRIES = 2
_ROOT = Path(__file__).parents[2]
_KEPT_BYTES = 300 * 1024 * 1024


class DocumentReader:
    """One process that reads. Safe to share between threads, which wait for each other; not through a fork."""

    def __init__(self, *, kept_bytes: int = _KEPT_BYTES) -> None:
        """A process that has grown beyond `kept_bytes` is replaced: it would not give all of it back."""
        self.owner_pid = os.getpid()
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._process: _Process | None = None

    def read(self, request: Request) -> ExtractedDocument:
        """See `read_document`. Whatever interrupts this ends the process too."""
        with self._lock:
            for _ in range(_TRIES):
                if self._process is None:
                    self._process = _Process()
                try:
                    answer = self._process.ask(request)
                except EOFError:
                    ended = self._forget()
                    continue
                except BaseException:
                    self._forget()
                    raise
                if self._process.resident_bytes() > self._kept_bytes:
                    self._forget()
                if isinstance(answer, ExtractedDocument):
                    return answer
                raise answer
        raise BrokenDocument(f"the program that reads documents ended at this one, {_TRIES} times (exit code {ended})")

    def close(self) -> None:
        """End the process."""
        if self.owner_pid == os.getpid():
            self._forget()

    def _forget(self) -> int:
        process, self._process = self._process, None
        return process.end() if process is not None else 0


class _Process:
    """Raises `EOFError` when it has ended, whatever was asked."""

    def __init__(self) -> None:
        self._line, far_end = Pipe()
        with far_end:
            # Not with -m: what the module defines would be named after __main__ there, and unknown here.
            program = (
                "import sys; sys.path.insert(0, sys.argv.pop(1)); import app.content.reader_process as it; it.main()"
            )
            command = (sys.executable, "-P", "-c", program, str(_ROOT), str(far_end.fileno()), str(os.getpid()))
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(far_end.fileno(),))
        self._status = psutil.Process(self._process.pid)
        try:
            _expect(self._line, within_seconds=_START_SECONDS)
        except (EOFError, TimeoutError) as error:
            raise TransientError(f"the program that reads documents does not start (exit code {self.end()})") from error

    def ask(self, request: Request) -> ExtractedDocument | PermanentError:
        """What `extract` returned or raised, or `DocumentTooLarge` when the time is used up."""
        seconds = request.limits.timeout_seconds
        try:
            self._line.send(request)
            answer = _expect(self._line, within_seconds=seconds + _GRACE_SECONDS)
        except TimeoutError:
            raise out_of_time(seconds) from None
        except OSError as error:
            raise EOFError from error
        assert isinstance(answer, ExtractedDocument | PermanentError)
        return answer

    def resident_bytes(self) -> int:
        """Its memory; 0 when it has ended."""
        try:
            return int(self._status.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def end(self) -> int:
        """Kill it; its exit code, or minus the signal that had ended it before."""
        self._line.close()
        with suppress(subprocess.TimeoutExpired):
            if self._process.poll() is None:
                self._process.kill()
        return self._process.wait()


def _expect(line: Connection, *, within_seconds: float) -> object:
    if not line.poll(within_seconds):
        raise TimeoutError
    answer: object = line.recv()
    return answer


_reader = DocumentReader()
atexit.register(lambda: _reader.close())  # noqa: PLW0108 — a forked child has another


def read_document(
    data: bytes,
    *,
    declared_type: str | None,
    file_name: str | None,
    source_url: str | None = None,
    limits: ExtractionLimits,
) -> ExtractedDocument:
    """What `extract` finds, and the language of the text, in at most `limits.timeout_seconds` whatever the bytes are.

    Raises what `extract` raises; `BrokenDocument` also when reading ended its process twice, and `TransientError`
    when no process can be started.
    """
    global _reader  # noqa: PLW0603 — one a process is the point
    if _reader.owner_pid != os.getpid():
        _reader = DocumentReader()
    request = Request(data=data, declared_type=declared_type, file_name=file_name, source_url=source_url, limits=limits)
    document = _reader.read(request)
    # Here and not there: a sample of 3000 characters takes no time, and the model 70 MB.
    return replace(document, language=language_of(document.text, declared=document.declared_language))
