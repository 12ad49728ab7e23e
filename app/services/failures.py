"""Failures for good: what a dead call leaves on its letter and its resource, and how that is taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from app.errors import TransportRejected
from app.events import dispatch, execution
from app.events.dispatch import UNSTARTED_STATES, ClaimedCall
from app.events.execution import StartedCall
from app.models.base import now
from app.models.derived import DerivedKind
from app.models.outbox import CallState, TaskCall
from app.services import derived_states, ingestion
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName


class AboutResource(Protocol):
    """A call in any form: what its failure says something about."""

    @property
    def id(self) -> UUID:
        """Of the call."""

    @property
    def task(self) -> str:
        """Its name."""

    @property
    def subject(self) -> UUID | None:
        """The resource."""

    @property
    def kind(self) -> str | None:
        """The derived data."""


def bury(library: Library, call: StartedCall, error: Exception, *, reason: str, traceback: str | None) -> bool:
    """End a call as dead and say so where people look; False when another execution owns it."""
    description = execution.describe(error)
    with library.work() as unit:
        buried = execution.bury(unit.session, call, reason=reason, error=description, traceback=traceback, moment=now())
        if buried:
            _say_so(unit, call, description)
        return buried


def bury_rejected(unit: UnitOfWork, call: ClaimedCall, error: TransportRejected) -> bool:
    """End a call that the broker will never take; False when it has moved on meanwhile."""
    description = execution.describe(error)
    buried = dispatch.bury(unit.session, call, reason="broker_rejected", error=description, moment=now())
    if buried:
        _say_so(unit, call, description)
    return buried


def bury_given_up(
    unit: UnitOfWork, call: TaskCall, *, reason: str, detail: str, headers: dict[str, Any], moment: datetime
) -> bool:
    """End a call whose message the broker gave up before any worker started it; False when it has moved on."""
    claimed = ClaimedCall(**{name: getattr(call, name) for name in ClaimedCall.__slots__})
    description = {"type": reason.replace("_", "-"), "detail": detail}
    buried = dispatch.bury(unit.session, claimed, reason=reason, error=description, moment=moment, headers=headers)
    if buried:
        _say_so(unit, claimed, description)
    return buried


def may_be_given_up(call: TaskCall, *, generation: int | None) -> bool:
    """Whether the death of this message decides anything for its call.

    It does not when the call has ended, waits, or is sent in a newer generation: the message was a copy of the past.
    Nor while it runs: its lease decides, by which it ends or is sent again, `MAX_DELIVERIES` times at most.
    """
    return call.generation == generation and call.state in UNSTARTED_STATES


def take_back(session: Session, call: TaskCall) -> bool:
    """A dead call is going to run again: its resource, which is locked, says no more that it failed.

    False when the resource is deleted, and the call has nothing to work on.
    """
    if call.subject is None:
        return True
    resource = derived_states.lock_resource(session, call.subject)
    if resource is None:
        return False
    if call.task == TaskName.INGEST_RESOURCE:
        if ingestion.is_failed(resource):  # nobody has read it since
            ingestion.await_reading(resource)
    elif call.kind is not None:
        derived_states.forget_failure(session, call.subject, DerivedKind(call.kind))
    return True


def give_up(unit: UnitOfWork, call: TaskCall) -> None:
    """A dead call will never run again: what was kept for it goes."""
    if call.task == TaskName.INGEST_RESOURCE and call.subject is not None and call.state == CallState.DEAD:
        resource = derived_states.lock_resource(unit.session, call.subject)
        if resource is not None and ingestion.is_failed(resource):
            ingestion.forget_upload(unit, call.subject)


def _say_so(unit: UnitOfWork, call: AboutResource, description: dict[str, Any]) -> None:
    """On the resource whose document or derived data this would have been."""
    if call.subject is None:
        return
    if call.task == TaskName.INGEST_RESOURCE:
        ingestion.fail(unit, call.subject, description, call_id=call.id)
    elif call.kind is not None:
        kind = DerivedKind(call.kind)
        resource = derived_states.lock_resource(unit.session, call.subject)
        if resource is not None:
            version = getattr(resource, derived_states.input_version(kind).key)
            derived_states.mark_failed(unit.session, call.subject, kind, version=version, error=description)
