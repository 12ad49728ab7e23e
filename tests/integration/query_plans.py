"""How SQLite finds what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from app.services.library import Library


@contextmanager
def plans(library: Library, table: str) -> Iterator[dict[str, list[str]]]:
    """The steps through `table` of each statement inside the block."""
    found: dict[str, list[str]] = {}
    engine = library.database.engine

    def note(connection: Any, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if table in statement and not statement.startswith(("EXPLAIN", "INSERT")):
            cursor = connection.connection.cursor()
            steps = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found[statement] = [step[3] for step in steps if table in step[3]]

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
