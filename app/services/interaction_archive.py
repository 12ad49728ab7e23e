"""Interactions in an archive: what users did with the resources, in the order in which they did it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, exists

from app.errors import InvalidInput
from app.models.base import Base, now
from app.models.interaction import Interaction
from app.models.resource import Resource
from app.schemas.recommendation import InteractionCreate
from app.services import interactions
from app.services.archive_records import Outcome, TableRecords, check_as_sent
from app.services.library import Library

NUMBER_MAX = 1_000_000_000
"""Half of what the column holds: there is room to count on."""


class InteractionRecords(TableRecords):
    """Those with live resources. They are never changed, so one of the same id is the same one."""

    def where(self) -> Sequence[ColumnElement[bool]]:
        """What was done with a deleted resource says nothing any more."""
        return (exists().where(Resource.id == Interaction.resource_id, Resource.deleted_at.is_(None)),)

    def accept(self, library: Library, values: Mapping[str, Any], *, is_only_checked: bool) -> Outcome:
        """At its number, or as the newest of its user where another has that number."""
        check_as_sent(InteractionCreate, {**values, "type": str(values["type"])})
        if not 1 <= values["number"] <= NUMBER_MAX:
            raise InvalidInput(f"number: it is none from 1 to {NUMBER_MAX}")
        with library.database.reader() as session:
            present = session.get(Interaction, values["id"])
            if present is not None:
                return Outcome.UNCHANGED if self.is_same(present, values) else Outcome.KEPT
        if not is_only_checked:
            with library.work() as unit:
                interactions.restore(values, unit=unit)
        return Outcome.CREATED

    def is_same(self, row: Base, values: Mapping[str, Any]) -> bool:
        """Whatever its number became here, and its times if they were still to come."""
        assert isinstance(row, Interaction)
        arrived = now()
        times = {name: getattr(row, name) for name in ("at", "created_at") if values[name] > arrived}
        return super().is_same(row, {**values, **times, "number": row.number})
