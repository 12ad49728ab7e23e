"""Classification codes in an archive: the tree as people have made it, parents before what is below them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from app.knowledge.category_tree import Category
from app.models.classification import ClassificationCode
from app.schemas.classification import CategoryCreate
from app.services import category_codes, classifiers
from app.services.archive_records import Outcome, TableRecords, check_as_sent
from app.services.library import Library


class CodeRecords(TableRecords):
    """Of two that say something else of the same code the later one holds."""

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """As if it was changed here, at its time. Most are there already: seeing that keeps nobody waiting."""
        check_as_sent(CategoryCreate, values)
        with library.database.reader() as session:
            outcome = self._outcome(session, values)
        if is_only_checked or outcome in {Outcome.UNCHANGED, Outcome.KEPT}:
            return outcome
        category = Category(**{name: values[name] for name in ("code", "parent", "label", "description")})
        with library.work() as unit:
            classifiers.move_tree(unit.session)
            outcome = self._outcome(unit.session, values)
            if outcome in {Outcome.CREATED, Outcome.UPDATED}:
                category_codes.restore(unit, category, updated_at=values["updated_at"])
            return outcome

    def _outcome(self, session: Session, values: Mapping[str, Any]) -> Outcome:
        present = session.get(ClassificationCode, values["code"])
        if present is None:
            return Outcome.CREATED
        if self.is_same(present, values):
            return Outcome.UNCHANGED
        return Outcome.UPDATED if values["updated_at"] > present.updated_at else Outcome.KEPT

    def _keys(self, session: Session) -> Iterator[tuple[Any, ...]]:
        """Classes, then what is right below them, and so on: there are `CODES_MAX` at most."""
        known = category_codes.tree(session)
        session.expunge_all()
        yield from ((code,) for code in sorted(known, key=lambda code: (len(known.path(code)), code)))
