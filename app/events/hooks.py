"""The reactions of the system, as one table: which event calls which task, built from what, and when.

Hooks are pure: `plan(event)` reads an event and names the calls it causes. Storing them is the outbox's work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.cache.keys import keys_of_resource
from app.events.event_system import Event, EventEmitter, Recorder
from app.events.event_types import EventType as E
from app.models.derived import DerivedKind
from app.tasks.task_names import TaskName
from app.transports.base import Priority

# A debounced call waits its delay after the last trigger, and at most this many delays after the first.
MAX_DELAYS = 6


def _resource_id(event: Event) -> list[Any]:
    return [str(event.subject)]


def _cache_keys(event: Event) -> list[Any]:
    return [keys_of_resource(str(event.subject))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One row of the table. `built_from` names the version in the event's data that the task will read."""

    triggers: tuple[E, ...]
    task: TaskName
    queue: str = "default"
    priority: Priority = Priority.MEDIUM
    debounce_seconds: float = 0
    at_once_on: tuple[E, ...] = ()
    kind: DerivedKind | None = None
    built_from: str | None = None
    arguments: Callable[[Event], list[Any]] = _resource_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """A call that an event causes. Waiting calls of one `coalesce_key` are one call."""

    task: TaskName
    args: list[Any]
    queue: str
    priority: int
    delay: timedelta
    coalesce_key: str | None
    subject: UUID | None = None
    kind: DerivedKind | None = None
    subject_version: int | None = None


HOOKS: tuple[Hook, ...] = (
    Hook(
        triggers=(E.INGESTION_REQUESTED,),
        task=TaskName.INGEST_RESOURCE,
        queue="ingest",
    ),
    Hook(
        triggers=(E.RESOURCE_CONTENT_CHANGED,),
        at_once_on=(E.RESOURCE_CREATED,),
        task=TaskName.REGENERATE_EMBEDDING,
        kind=DerivedKind.EMBEDDING,
        built_from="content_version",
        queue="ml_tasks",
        priority=Priority.HIGH,
        debounce_seconds=5,
    ),
    Hook(
        triggers=(E.RESOURCE_METADATA_CHANGED, E.RESOURCE_CONTENT_CHANGED),
        at_once_on=(E.RESOURCE_CREATED,),
        task=TaskName.RECOMPUTE_QUALITY,
        kind=DerivedKind.QUALITY,
        built_from="version",
        debounce_seconds=10,
    ),
    Hook(
        triggers=(E.RESOURCE_UPDATED, E.RESOURCE_DELETED),
        at_once_on=(E.RESOURCE_CREATED,),
        task=TaskName.UPDATE_SEARCH_INDEX,
        kind=DerivedKind.SEARCH_INDEX,
        built_from="version",
        priority=Priority.URGENT,
        debounce_seconds=1,
    ),
    # Of a new or deleted document at once; while somebody corrects names, one minute after the last correction.
    Hook(
        triggers=(E.AUTHORS_EXTRACTED,),
        at_once_on=(E.RESOURCE_CREATED, E.RESOURCE_DELETED),
        task=TaskName.NORMALIZE_AUTHORS,
        kind=DerivedKind.AUTHORS,
        built_from="authors_version",
        priority=Priority.LOW,
        debounce_seconds=60,
    ),
    # The embedding is due sooner and is more urgent in the same queue: it is there, and nothing is embedded twice.
    Hook(
        triggers=(E.RESOURCE_CONTENT_CHANGED,),
        at_once_on=(E.RESOURCE_CREATED,),
        task=TaskName.CLASSIFY_RESOURCE,
        kind=DerivedKind.CLASSIFICATION,
        built_from="content_version",
        queue="ml_tasks",
        debounce_seconds=20,
    ),
    # Whoever commits drops the cached values at once; this call is for those who died before they could.
    Hook(
        triggers=(
            E.RESOURCE_UPDATED,
            E.RESOURCE_DELETED,
            E.EMBEDDING_GENERATED,
            E.QUALITY_COMPUTED,
            E.SEARCH_INDEX_UPDATED,
            E.AUTHORS_NORMALIZED,
            E.CLASSIFICATION_COMPLETED,
        ),
        task=TaskName.INVALIDATE_CACHE,
        priority=Priority.URGENT,
        debounce_seconds=1,
        arguments=_cache_keys,
    ),
)


def plan(event: Event) -> list[PlannedCall]:
    """The calls that `event` causes, in the order of the table."""
    return [
        _call(hook, event, delay_seconds=0 if event.name in hook.at_once_on else hook.debounce_seconds)
        for hook in HOOKS
        if event.name in hook.triggers or event.name in hook.at_once_on
    ]


def hook_of(kind: DerivedKind) -> Hook:
    """The row that keeps `kind` true."""
    return next(hook for hook in HOOKS if hook.kind is kind)


def rebuild(kind: DerivedKind, resource_id: str, *, version: int) -> PlannedCall:
    """The call that builds `kind` of one resource now: for the reconciler and for commands."""
    hook = hook_of(kind)
    return PlannedCall(
        task=hook.task,
        args=[resource_id],
        queue=hook.queue,
        priority=Priority.LOW,
        delay=timedelta(0),
        coalesce_key=f"{hook.task}:{resource_id}",
        subject=UUID(resource_id),
        kind=kind,
        subject_version=version,
    )


def register_all_hooks(emitter: EventEmitter, recorder: Recorder) -> None:
    """From now on a durable event of `emitter` is stored by `recorder` together with the calls it causes."""
    emitter.recorder = recorder


def _call(hook: Hook, event: Event, *, delay_seconds: float) -> PlannedCall:
    version = event.data.get(hook.built_from) if hook.built_from else None
    return PlannedCall(
        task=hook.task,
        args=hook.arguments(event),
        queue=hook.queue,
        priority=hook.priority,
        delay=timedelta(seconds=delay_seconds),
        coalesce_key=f"{hook.task}:{event.subject}",
        subject=event.subject,
        kind=hook.kind,
        subject_version=version,
    )
