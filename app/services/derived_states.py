"""Derived states: which input version each kind was built from, and which version it failed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.events.hooks import hook_of
from app.models.base import now
from app.models.derived import DerivedKind, DerivedState
from app.models.resource import Resource

REVISIONS: Mapping[DerivedKind, int] = {
    DerivedKind.SEARCH_INDEX: 1,
    DerivedKind.QUALITY: 1,
    # 2: a name that is there twice stands where it is first. 3: lists of "Smith J, Doe J", and with wide commas; who is
    # called unknown is nobody
    DerivedKind.AUTHORS: 3,
    # 2: lists that pages number; two entries at one address are two works. 3: what stands in other scripts, and DOIs in
    # more addresses
    DerivedKind.CITATIONS: 3,
}
"""Of the algorithm that builds each kind. Whoever changes what it says of some document raises it: all that an earlier
one built is stale then, and built anew. Embeddings and classes carry the name of their model instead."""


def input_version(kind: DerivedKind) -> InstrumentedAttribute[int]:
    """The column of `Resource` that this kind is built from, as the hook table says."""
    column: InstrumentedAttribute[int] = getattr(Resource, str(hook_of(kind).built_from))
    return column


def has_content() -> ColumnElement[bool]:
    """Resources that anything is derived from: alive, and through with their first ingestion."""
    return Resource.deleted_at.is_(None) & (Resource.content_version > 0)


def lock_resource(session: Session, resource_id: UUID) -> Resource | None:
    """The resource, locked until the commit, or None when it is deleted: then its effects write nothing."""
    row = select(Resource).where(Resource.id == resource_id, Resource.deleted_at.is_(None)).with_for_update()
    return session.scalars(row).one_or_none()


def lock_for_build(session: Session, resource_id: UUID, kind: DerivedKind, *, version: int) -> Resource | None:
    """The locked resource, or None when `kind` built from `version` must not be written.

    That is when the resource is deleted, or when a newer version is built already: nothing older replaces it.
    """
    resource = lock_resource(session, resource_id)
    return None if resource is None or built_from(session, resource_id, kind) > version else resource


def built_from(session: Session, resource_id: UUID, kind: DerivedKind) -> int:
    """The newest version `kind` was built from; 0 if never."""
    state = session.get(DerivedState, (resource_id, kind))
    return state.built_from if state else 0


def build_number(session: Session, resource_id: UUID, kind: DerivedKind) -> int:
    """Rises with every attempt to build `kind`: what was read under this number is not older than its last build."""
    state = session.get(DerivedState, (resource_id, kind))
    return state.attempts if state else 0


def built_in_force(session: Session, resource_id: UUID, kind: DerivedKind) -> int:
    """The version `kind` was built from by the algorithm in force; 0 if an earlier one built it, or none."""
    state = session.get(DerivedState, (resource_id, kind))
    return state.built_from if state is not None and is_in_force(state, kind) else 0


def is_in_force(state: DerivedState | None, kind: DerivedKind) -> bool:
    """Whether the algorithm that built this `kind` is not an earlier one. Of a model only its name tells."""
    return kind not in REVISIONS or (state is not None and state.revision >= REVISIONS[kind])


def is_of_earlier_revision(kind: DerivedKind) -> ColumnElement[bool]:
    """`is_in_force`, turned round, over an outer join of `DerivedState`.

    What a later one built, while processes are replaced, is left alone.
    """
    return func.coalesce(DerivedState.revision, 0) < REVISIONS.get(kind, 0)


def mark_built(session: Session, resource_id: UUID, kind: DerivedKind, *, version: int) -> None:
    """`kind` is built from `version`. The caller holds what `lock_for_build` gave it."""
    state = _state(session, resource_id, kind)
    state.built_from, state.revision = version, REVISIONS.get(kind, 1)
    state.attempts += 1
    state.failed_version, state.error, state.updated_at = None, None, now()


def mark_failed(session: Session, resource_id: UUID, kind: DerivedKind, *, version: int, error: dict[str, Any]) -> None:
    """Building `kind` from `version` failed for good."""
    state = _state(session, resource_id, kind)
    state.attempts += 1
    state.failed_version, state.error, state.updated_at = version, error, now()


def forget_failure(session: Session, resource_id: UUID, kind: DerivedKind) -> None:
    """`kind` is going to be built again: it is stale now, and failed no more."""
    state = session.get(DerivedState, (resource_id, kind))
    if state is not None:
        state.failed_version, state.error, state.updated_at = None, None, now()


def distrust(session: Session, resource_id: UUID, kind: DerivedKind) -> None:
    """`kind` is stale although no version moved: something else that it is built from did."""
    state = session.get(DerivedState, (resource_id, kind))
    if state is not None:
        state.built_from, state.failed_version, state.error, state.updated_at = 0, None, None, now()


def _state(session: Session, resource_id: UUID, kind: DerivedKind) -> DerivedState:
    state = session.get(DerivedState, (resource_id, kind))
    if state is None:
        state = DerivedState(resource_id=resource_id, kind=kind, built_from=0, attempts=0)
        session.add(state)
    return state
