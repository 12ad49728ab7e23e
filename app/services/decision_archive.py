"""What people decided about authors, in an archive: put into force at once, with or without the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.models.author import AuthorDecision
from app.services import author_decisions, author_groups
from app.services.archive_records import Outcome, TableRecords
from app.services.library import Library


class DecisionRecords(TableRecords):
    """Of two decisions on the same names the later one holds."""

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """As if it was decided here, at its time."""
        with library.work() as unit:
            author_groups.hold(unit.session, placing=author_decisions.placed_by(values))
            present = unit.session.get(AuthorDecision, tuple(values[column.name] for column in self.key))
            if present is not None and self.is_same(present, values):
                return Outcome.UNCHANGED
            against = author_decisions.opposite(unit.session, values["kind"], values["first"], values["second"])
            if any(said is not None and said.decided_at >= values["decided_at"] for said in (present, against)):
                return Outcome.KEPT
            if not is_only_checked:
                author_decisions.restore(unit, values)
            return Outcome.CREATED if present is None else Outcome.UPDATED
