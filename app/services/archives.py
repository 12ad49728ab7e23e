"""Archives: the whole library as JSON lines, and back (docs/export.md).

The first line says the format and how many records of each kind follow. Everything is read in one transaction, so the
records are those of one moment. What is derived is left out: the events of an import build it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from app.errors import InvalidInput, PermanentError
from app.models.author import AuthorDecision
from app.models.classification import ClassificationCode
from app.models.interaction import Interaction
from app.models.resource import Resource
from app.services.archive_records import TableRecords
from app.services.code_archive import CodeRecords
from app.services.decision_archive import DecisionRecords
from app.services.deleted_code_archive import DeletedCodeRecords
from app.services.interaction_archive import InteractionRecords
from app.services.library import Library
from app.services.resource_archive import ResourceRecords

FORMAT = 1
HEADER = "library"
EXAMPLE = '{"record":"library","format":1,"counts":{"author_decision":0,"resource":0,"interaction":0}}\n'
# Decisions and codes first: what is derived from the resources is right from its first time. Deleted codes after the
# others: what was below one of them is elsewhere by then.
RECORD_KINDS: tuple[TableRecords, ...] = (
    DecisionRecords("author_decision", AuthorDecision),
    CodeRecords("classification_code", ClassificationCode),
    DeletedCodeRecords("deleted_code", ClassificationCode),
    ResourceRecords("resource", Resource),
    InteractionRecords("interaction", Interaction),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFailure:
    """A line, counted from 1, that could not be put into the library, and why."""

    line: int
    detail: str


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What became of the records of some lines."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[LineFailure] = field(default_factory=list)


def export(library: Library) -> Iterator[bytes]:
    """The lines of the library as it is at the first of them. Holds a connection until the last is taken."""
    with library.database.reader() as session:
        if not library.database.is_sqlite:  # SQLite reads one snapshot anyway
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            # It rests for as long as nobody takes the next line, and holds no row meanwhile.
            session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        counts = {kind.name: kind.count(session) for kind in RECORD_KINDS}
        yield _line(json.dumps({"record": HEADER, "format": FORMAT, "counts": counts}, separators=(",", ":")))
        for kind in RECORD_KINDS:
            for record in kind.lines(session):
                yield _line(record)


def import_lines(library: Library, data: bytes, *, is_only_checked: bool = False) -> ImportReport:
    """Put the records of these lines into the library, each in a transaction of its own, or see whether it could be.

    A line that is there already changes nothing, so any number of lines may be sent again.
    """
    report = ImportReport()
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            outcome = _accept(library, line, is_only_checked=is_only_checked)
        except PermanentError as error:
            report.failures.append(LineFailure(line=number, detail=error.detail))
        else:
            report.outcomes.update([outcome] if outcome else [])
    return report


def check_header(said: dict[str, Any]) -> dict[str, int]:
    """The counts that the first line gives; `InvalidInput` when this version cannot read what follows."""
    counts = said.get("counts")
    if said.get("record") != HEADER or not isinstance(counts, dict):
        raise InvalidInput("this is no export of a library: its first line does not say so")
    if said.get("format") != FORMAT:
        raise InvalidInput(f"the export has format {said.get('format')!r:.20}; this version reads format {FORMAT}")
    return {str(name): count for name, count in counts.items() if type(count) is int}


def _accept(library: Library, line: bytes, *, is_only_checked: bool) -> str | None:
    said = _read(line)
    if said.get("record") == HEADER:
        check_header(said)
        return None
    kind = next((kind for kind in RECORD_KINDS if kind.name == said.get("record")), None)
    if kind is None:
        raise InvalidInput(f"record: {said.get('record')!r:.60} is no kind of record that this version knows")
    try:
        return str(kind.accept(library, kind.parse(line), is_only_checked=is_only_checked))
    except (IntegrityError, DataError) as error:
        raise InvalidInput(f"the database does not take it: {str(error.orig).splitlines()[0][:200]}") from error
    except StatementError as error:
        raise InvalidInput(f"the database does not take it: {str(error.orig)[:200]}") from error


def _read(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the line is not JSON") from error
    if not isinstance(said, dict):
        raise InvalidInput("the line is no JSON object")
    return said


def _line(text: str) -> bytes:
    return text.encode() + b"\n"
