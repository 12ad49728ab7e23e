"""Batch operations, as one table: what each does to a resource, and when that is done.

A rebuild is done when what it asked for is fresh: the derived row, made stale here, is built again from the version
asked for or a later one. The call that builds it is not waited for by its id: an edit may join it, the reconciler or
a replay may take its place, and what counts is what stands in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, true, update

from app.errors import InvalidInput, NotFound, VersionConflict
from app.events.hooks import rebuild
from app.models.batch import BatchOperation, ItemState
from app.models.derived import DerivedKind
from app.services import derived_states, resources
from app.services.consistency import BUILT
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork

ANOTHER_VERSION = 0
"""No resource has it: an item of it was changed between the request and the moment it was written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of an item: done, or working towards `version` of its input."""

    state: ItemState
    version: int | None


class Operation(Protocol):
    """One row of the table. `kind`: what working items wait for; None: none ever works."""

    @property
    def kind(self) -> DerivedKind | None:
        """The derived data that is built anew."""

    def applies_to(self) -> ColumnElement[bool]:
        """Which resources a filter means."""

    def begin(self, library: Library, unit: UnitOfWork, resource_id: UUID, *, version: int | None) -> Begun:
        """Do it, in one transaction with the mark of the item. Raises `PermanentError` with the reason."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Have one kind of derived data built anew."""

    kind: DerivedKind

    def applies_to(self) -> ColumnElement[bool]:
        """What has a text to build from."""
        return derived_states.has_content()

    def begin(self, library: Library, unit: UnitOfWork, resource_id: UUID, *, version: int | None) -> Begun:  # noqa: ARG002
        """The derived row is stale from now on, and a call is on its way; what it held is served until then.

        The row is made stale and not its `DerivedState`: that one goes on to refuse what is built from older input.
        """
        resource = derived_states.lock_resource(unit.session, resource_id)
        if resource is None:
            raise NotFound(f"there is no resource {resource_id}")
        if resource.content_version == 0:
            raise InvalidInput("there is no text yet to build it from")
        table = BUILT[self.kind]
        stale = update(table).where(table.resource_id == resource_id).values(built_from=0)
        unit.session.execute(stale.execution_options(synchronize_session=False))
        if self.kind is DerivedKind.SEARCH_INDEX:
            library.index.distrust(unit.session, [resource_id])
        derived_states.forget_failure(unit.session, resource_id, self.kind)
        wanted: int = getattr(resource, derived_states.input_version(self.kind).key)
        unit.enqueue(rebuild(self.kind, str(resource_id), version=wanted))
        return Begun(state=ItemState.WORKING, version=wanted)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the resource as it was when the batch was asked for."""

    kind: None = None

    def applies_to(self) -> ColumnElement[bool]:
        """Every resource."""
        return true()

    def begin(self, library: Library, unit: UnitOfWork, resource_id: UUID, *, version: int | None) -> Begun:  # noqa: ARG002
        """What somebody has changed since stays: they have seen it, and whoever asked for the batch has not.

        Deleted by somebody else meanwhile: there is nothing left to do.
        """
        if version is None:
            raise NotFound(f"there is no resource {resource_id}")
        try:
            resources.delete_within(unit, resource_id, expected_version=version)
        except NotFound:
            return Begun(state=ItemState.DONE, version=version)
        except VersionConflict as error:
            raise VersionConflict(f"changed since the batch was asked for: {error.detail}") from error
        return Begun(state=ItemState.DONE, version=version)


OPERATIONS: Mapping[BatchOperation, Operation] = {
    BatchOperation.RE_EMBED: Rebuild(DerivedKind.EMBEDDING),
    BatchOperation.RESCORE: Rebuild(DerivedKind.QUALITY),
    BatchOperation.RECLASSIFY: Rebuild(DerivedKind.CLASSIFICATION),
    BatchOperation.REINDEX: Rebuild(DerivedKind.SEARCH_INDEX),
    BatchOperation.DELETE: Delete(),
}
