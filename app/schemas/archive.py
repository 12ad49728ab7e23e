"""What became of the lines of an import."""

from __future__ import annotations

from app.schemas.shape import Output


class LineFailure(Output):
    """A line of the body, counted from 1, that was not put into the library."""

    line: int
    detail: str


class ImportReport(Output):
    """How many records were created, updated, unchanged, or kept as the library has them, and which lines failed."""

    outcomes: dict[str, int]
    failures: list[LineFailure]
