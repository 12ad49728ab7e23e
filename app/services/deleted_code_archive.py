"""First codes that people deleted, in an archive: every library begins with them, so their absence has to be said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import CodeInUse, InvalidInput
from app.models.classification import ClassificationCode
from app.services import category_codes, classifiers
from app.services.archive_records import Outcome, TableRecords
from app.services.library import Library

FIRST_CODES_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When every library says that its first codes were changed last, as the migration that makes them does."""
_FIRST_CODES = Path(__file__).resolve().parents[2] / "migrations" / "classification_codes.json"


class DeletedCodeRecords(TableRecords):
    """One for each first code that the library has no more; it has nothing but its `code`."""

    left_out = frozenset(("parent", "label", "description", "updated_at"))

    def count(self, session: Session) -> int:
        """How many first codes are gone."""
        return len(_deleted(session))

    def lines(self, session: Session) -> Iterator[str]:
        """What is below another one before that: a code with codes below it cannot be deleted."""
        for code in _deleted(session):
            yield self.shape.model_validate({"code": code}).model_dump_json()

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """Deleted here too, unless somebody needs it here, or has said something of it since the first day."""
        code = str(values["code"])
        if code not in _first_codes():
            raise InvalidInput(f"code: {code} is none of the codes that a library begins with")
        with library.database.reader() as session:
            outcome = _outcome(session, code)
        if is_only_checked or outcome is not Outcome.UPDATED:
            return outcome
        try:
            with library.work() as unit:
                classifiers.move_tree(unit.session)
                outcome = _outcome(unit.session, code)
                if outcome is Outcome.UPDATED:
                    category_codes.delete_within(unit, code)
                return outcome
        except CodeInUse:
            return Outcome.KEPT


def _outcome(session: Session, code: str) -> Outcome:
    present = session.get(ClassificationCode, code)
    if present is None:
        return Outcome.UNCHANGED
    return Outcome.UPDATED if present.updated_at == FIRST_CODES_AT else Outcome.KEPT


def _deleted(session: Session) -> list[str]:
    known = set(session.scalars(select(ClassificationCode.code)))
    first = _first_codes()
    return sorted(first.keys() - known, key=lambda code: (first[code] is None, code))


def _first_codes() -> dict[str, str | None]:
    """Each with the one above it; those without one are on top of all others."""
    rows = json.loads(_FIRST_CODES.read_text(encoding="utf-8"))
    return {row["code"]: row["parent"] for row in rows}
