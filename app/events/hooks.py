"""The reactions of the system, as one table: which event calls which task, built from what, and when.

Hooks are pure: `plan(event)` reads an event and names the calls it causes. Storing them is the outbox's work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.cache.keys import ALL_SEARCH_QUERIES, embedding_key, quality_key, recommendations_key, resource_key
from app.events.event_system import Event, EventEmitter, Recorder
from app.events.event_types import OF_USERS
from app.events.event_types import EventType as E
from app.models.derived import DerivedKind
from app.tasks.task_names import TaskName
from app.transports.base import Priority

# A debounced call waits its delay after the last trigger, and at most this many delays after the first.
MAX_DELAYS = 6
# Whoever reads these values asks the database whether they hold (ADR 0036): dropping them early only saves memory.
# `embedding:` is a key of the seed's that nothing here keeps.
CHECKED_WHEN_READ: Mapping[str, Callable[[str], str]] = {
    E.RESOURCE_UPDATED: resource_key,
    E.RESOURCE_DELETED: resource_key,
    E.INGESTION_COMPLETED: resource_key,
    E.INGESTION_FAILED: resource_key,
    E.EMBEDDING_GENERATED: embedding_key,
    E.QUALITY_COMPUTED: quality_key,
}
# A profile that is this many interactions behind is not left behind until its debounce is over.
INTERACTIONS_AT_ONCE = 10


def _resource_id(event: Event) -> list[Any]:
    return [str(event.subject)]


def cache_keys_of(event: Event) -> list[str]:
    """Keys and families of the cache whose values an event makes old."""
    if event.name == E.USER_PROFILE_UPDATED:
        return [recommendations_key(str(event.user_id))]
    own = CHECKED_WHEN_READ.get(event.name)
    keys = [] if own is None or event.subject is None else [own(str(event.subject))]
    return [*keys, ALL_SEARCH_QUERIES] if event.name == E.RESOURCE_DELETED else keys


def _user_id(event: Event) -> list[Any]:
    return [event.user_id]


def _always(_event: Event) -> bool:
    return True


def _touches_graph(event: Event) -> bool:
    """Who changed the resource has looked whether a citation can lead from it or to it: most lead nowhere here."""
    return bool(event.data.get("touches_graph", True))


def _names_authors(event: Event) -> bool:
    """Who created the resource has looked: most documents name nobody, and that is built with them."""
    return bool(event.data.get("names_authors", True))


def _search_pages(_event: Event) -> list[Any]:
    return [[ALL_SEARCH_QUERIES]]


def _is_tenth(event: Event) -> bool:
    total = event.data.get("total_interactions")
    return isinstance(total, int) and total % INTERACTIONS_AT_ONCE == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One row of the table. `built_from` names the version in the event's data that the task will read.

    It is not debounced after an event of `at_once_on`, nor after one that `at_once_if` says so of.
    `only_if` leaves out events that leave nothing to do. A hook `for_whole_library` has one call for all resources.
    """

    triggers: tuple[E, ...]
    task: TaskName
    queue: str = "default"
    priority: Priority = Priority.MEDIUM
    debounce_seconds: float = 0
    at_once_on: tuple[E, ...] = ()
    at_once_if: Callable[[Event], bool] | None = None
    kind: DerivedKind | None = None
    built_from: str | None = None
    arguments: Callable[[Event], list[Any]] = _resource_id
    only_if: Callable[[Event], bool] = _always
    for_whole_library: bool = False


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
        only_if=_names_authors,
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
    Hook(
        triggers=(E.USER_INTERACTION_TRACKED,),
        at_once_if=_is_tenth,
        task=TaskName.REFRESH_RECOMMENDATION_PROFILE,
        built_from="total_interactions",
        priority=Priority.LOW,
        debounce_seconds=300,
        arguments=_user_id,
    ),
    Hook(
        triggers=(E.RESOURCE_CONTENT_CHANGED,),
        at_once_on=(E.RESOURCE_CREATED,),
        task=TaskName.EXTRACT_CITATIONS,
        kind=DerivedKind.CITATIONS,
        built_from="content_version",
        debounce_seconds=5,
    ),
    Hook(
        triggers=(E.CITATIONS_EXTRACTED, E.RESOURCE_IDENTITY_CHANGED, E.RESOURCE_DELETED),
        task=TaskName.UPDATE_CITATION_GRAPH,
        debounce_seconds=30,
        only_if=_touches_graph,
    ),
    # One call for all: five hundred documents that arrive together cost a few rankings, not five hundred.
    Hook(
        triggers=(E.GRAPH_EDGE_ADDED, E.GRAPH_EDGE_REMOVED),
        task=TaskName.RANK_CITATION_GRAPH,
        priority=Priority.LOW,
        debounce_seconds=10,
        for_whole_library=True,
    ),
    # Whoever commits drops the cached pages at once; this call is for those who died before they could.
    Hook(
        triggers=(E.RESOURCE_DELETED,),
        task=TaskName.INVALIDATE_CACHE,
        priority=Priority.URGENT,
        debounce_seconds=1,
        arguments=_search_pages,
    ),
)


def plan(event: Event) -> list[PlannedCall]:
    """The calls that `event` causes, in the order of the table."""
    return [
        _call(hook, event, delay_seconds=0 if _is_at_once(hook, event) else hook.debounce_seconds)
        for hook in HOOKS
        if (event.name in hook.triggers or event.name in hook.at_once_on) and hook.only_if(event)
    ]


def is_of_users(hook: Hook) -> bool:
    """Whether its calls work on a user, whose id is their argument, and on no resource."""
    return OF_USERS.issuperset(hook.triggers)


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
        coalesce_key=coalesce_key(hook.task, resource_id),
        subject=UUID(resource_id),
        kind=kind,
        subject_version=version,
    )


def refresh_profile(user_id: str, *, total_interactions: int, delay: timedelta = timedelta(0)) -> PlannedCall:
    """The call that builds the profile of one user: for the reconciler, and for an import."""
    hook = next(hook for hook in HOOKS if hook.task is TaskName.REFRESH_RECOMMENDATION_PROFILE)
    return PlannedCall(
        task=hook.task,
        args=[user_id],
        queue=hook.queue,
        priority=Priority.LOW,
        delay=delay,
        coalesce_key=coalesce_key(hook.task, user_id),
        subject_version=total_interactions,
    )


def coalesce_key(task: TaskName, of: UUID | str | None) -> str:
    """What waiting calls of one task on one resource, or on one user, share."""
    return f"{task}:{of}"


def call_for(task: TaskName, resource_id: str) -> PlannedCall:
    """The call that `task` makes for a resource, due now: for a task that has more to do than one run takes,
    and for the reconciler.
    """
    hook = next(hook for hook in HOOKS if hook.task is task)
    return PlannedCall(
        task=task,
        args=[resource_id],
        queue=hook.queue,
        priority=hook.priority,
        delay=timedelta(0),
        coalesce_key=coalesce_key(task, resource_id),
        subject=UUID(resource_id),
    )


def register_all_hooks(emitter: EventEmitter, recorder: Recorder) -> None:
    """From now on a durable event of `emitter` is stored by `recorder` together with the calls it causes."""
    emitter.recorder = recorder


def _is_at_once(hook: Hook, event: Event) -> bool:
    return event.name in hook.at_once_on or (hook.at_once_if is not None and hook.at_once_if(event))


def _call(hook: Hook, event: Event, *, delay_seconds: float) -> PlannedCall:
    version = event.data.get(hook.built_from) if hook.built_from else None
    subject = None if hook.for_whole_library else event.subject
    return PlannedCall(
        task=hook.task,
        args=[] if hook.for_whole_library else hook.arguments(event),
        queue=hook.queue,
        priority=hook.priority,
        delay=timedelta(seconds=delay_seconds),
        coalesce_key=coalesce_key(hook.task, event.user_id or subject or "library"),
        subject=subject,
        kind=hook.kind,
        subject_version=version,
    )
