from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from app.events.event_system import Event
from app.events.event_types import DURABLE, EventType
from app.events.hooks import HOOKS, PlannedCall, cache_keys_of, is_of_users, plan, refresh_profile
from app.models.derived import DerivedKind
from app.models.interaction import UserProfile
from app.models.resource import Resource
from app.tasks.task_names import TaskName
from app.transports.base import QUEUES

RESOURCE = uuid4()


def planned(name: EventType) -> dict[str, PlannedCall]:
    versions = {"version": 7, "content_version": 3, "metadata_version": 2, "authors_version": 4}
    event = Event(name=name, data={"resource_id": str(RESOURCE), **versions})
    return {call.task: call for call in plan(event)}


@pytest.mark.parametrize(
    ("event", "task", "queue", "priority", "seconds"),
    [
        (EventType.RESOURCE_CONTENT_CHANGED, TaskName.REGENERATE_EMBEDDING, "ml_tasks", 7, 5),
        (EventType.RESOURCE_CONTENT_CHANGED, TaskName.RECOMPUTE_QUALITY, "default", 5, 10),
        (EventType.RESOURCE_METADATA_CHANGED, TaskName.RECOMPUTE_QUALITY, "default", 5, 10),
        (EventType.RESOURCE_UPDATED, TaskName.UPDATE_SEARCH_INDEX, "default", 9, 1),
        (EventType.RESOURCE_DELETED, TaskName.UPDATE_SEARCH_INDEX, "default", 9, 1),
        (EventType.RESOURCE_CREATED, TaskName.UPDATE_SEARCH_INDEX, "default", 9, 0),
        (EventType.RESOURCE_CREATED, TaskName.REGENERATE_EMBEDDING, "ml_tasks", 7, 0),
        (EventType.RESOURCE_CREATED, TaskName.RECOMPUTE_QUALITY, "default", 5, 0),
        (EventType.AUTHORS_EXTRACTED, TaskName.NORMALIZE_AUTHORS, "default", 3, 60),
        (EventType.RESOURCE_CREATED, TaskName.NORMALIZE_AUTHORS, "default", 3, 0),
        (EventType.RESOURCE_DELETED, TaskName.NORMALIZE_AUTHORS, "default", 3, 0),
        (EventType.RESOURCE_CONTENT_CHANGED, TaskName.CLASSIFY_RESOURCE, "ml_tasks", 5, 20),
        (EventType.RESOURCE_CREATED, TaskName.CLASSIFY_RESOURCE, "ml_tasks", 5, 0),
        (EventType.RESOURCE_CREATED, TaskName.EXTRACT_CITATIONS, "default", 5, 0),
        (EventType.RESOURCE_CONTENT_CHANGED, TaskName.EXTRACT_CITATIONS, "default", 5, 5),
        (EventType.CITATIONS_EXTRACTED, TaskName.UPDATE_CITATION_GRAPH, "default", 5, 30),
        (EventType.RESOURCE_IDENTITY_CHANGED, TaskName.UPDATE_CITATION_GRAPH, "default", 5, 30),
        (EventType.RESOURCE_DELETED, TaskName.UPDATE_CITATION_GRAPH, "default", 5, 30),
        (EventType.INGESTION_REQUESTED, TaskName.INGEST_RESOURCE, "ingest", 5, 0),
    ],
)
def test_an_event_calls_its_tasks_as_the_design_says(
    event: EventType, task: TaskName, queue: str, priority: int, seconds: int
) -> None:
    call = planned(event)[task]

    assert (call.queue, call.priority, call.delay) == (queue, priority, timedelta(seconds=seconds))
    assert call.args == [str(RESOURCE)]


@pytest.mark.parametrize(("names", "is_called"), [(True, True), (False, False)])
def test_a_new_document_that_names_nobody_has_no_authors_to_normalise(names: bool, is_called: bool) -> None:
    data = {"resource_id": str(RESOURCE), "version": 1, "content_version": 1, "authors_version": 1}
    event = Event(name=EventType.RESOURCE_CREATED, data={**data, "names_authors": names})

    assert (TaskName.NORMALIZE_AUTHORS in {call.task for call in plan(event)}) is is_called


def test_a_new_title_does_not_touch_the_embedding() -> None:
    assert TaskName.REGENERATE_EMBEDDING not in planned(EventType.RESOURCE_METADATA_CHANGED)
    assert TaskName.REGENERATE_EMBEDDING not in planned(EventType.RESOURCE_UPDATED)


def test_a_call_knows_the_version_of_its_own_input() -> None:
    calls = planned(EventType.RESOURCE_CONTENT_CHANGED)

    assert calls[TaskName.REGENERATE_EMBEDDING].subject_version == 3
    assert calls[TaskName.CLASSIFY_RESOURCE].subject_version == 3
    assert calls[TaskName.RECOMPUTE_QUALITY].subject_version == 7


def test_what_leaves_the_graph_as_it_is_calls_nobody() -> None:
    data = {"resource_id": str(RESOURCE), "touches_graph": False}

    for name in (EventType.CITATIONS_EXTRACTED, EventType.RESOURCE_DELETED):
        assert TaskName.UPDATE_CITATION_GRAPH not in {call.task for call in plan(Event(name=name, data=data))}


def test_edges_of_all_resources_are_ranked_by_one_call() -> None:
    events = [Event(name=EventType.GRAPH_EDGE_ADDED, data={"resource_id": str(uuid4())}) for _ in range(2)]
    calls = [call for event in events for call in plan(event) if call.task == TaskName.RANK_CITATION_GRAPH]

    assert len(calls) == 2
    assert calls[0] == calls[1]
    assert (calls[0].args, calls[0].subject) == ([], None)


def test_planning_the_same_event_twice_gives_the_same_calls() -> None:
    event = Event(name=EventType.RESOURCE_UPDATED, data={"resource_id": str(RESOURCE), "version": 2})

    assert plan(event) == plan(event)


def test_every_row_of_the_table_can_be_served() -> None:
    for hook in HOOKS:
        assert hook.queue in QUEUES
        assert set(hook.triggers) | set(hook.at_once_on) <= DURABLE
        subject = UserProfile if is_of_users(hook) else Resource
        assert hook.built_from is None or hasattr(subject, hook.built_from)


def interaction(total: int) -> PlannedCall:
    data = {"user_id": "ada", "resource_id": str(RESOURCE), "type": "view", "total_interactions": total}
    [call] = plan(Event(name=EventType.USER_INTERACTION_TRACKED, data=data))
    return call


def test_an_interaction_calls_for_the_profile_of_its_user_and_says_nothing_of_the_document() -> None:
    call = interaction(3)

    assert (call.task, call.args) == (TaskName.REFRESH_RECOMMENDATION_PROFILE, ["ada"])
    assert (call.queue, call.priority, call.delay) == ("default", 3, timedelta(seconds=300))
    assert (call.subject, call.kind, call.subject_version) == (None, None, 3)
    assert call.coalesce_key == "refresh_recommendation_profile_task:ada"
    assert refresh_profile("ada", total_interactions=3).coalesce_key == call.coalesce_key


@pytest.mark.parametrize(("total", "seconds"), [(1, 300), (9, 300), (10, 0), (11, 300), (20, 0), (100, 0)])
def test_every_tenth_interaction_calls_at_once(total: int, seconds: int) -> None:
    assert interaction(total).delay == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("name", "own", "drops_searches"),
    [
        (EventType.RESOURCE_UPDATED, "resource", False),
        (EventType.RESOURCE_DELETED, "resource", True),
        (EventType.INGESTION_COMPLETED, "resource", False),
        (EventType.EMBEDDING_GENERATED, "embedding", False),
        (EventType.QUALITY_COMPUTED, "quality", False),
        (EventType.SEARCH_INDEX_UPDATED, None, False),
        (EventType.CLASSIFICATION_COMPLETED, None, False),
        (EventType.RESOURCE_CONTENT_CHANGED, None, False),
        (EventType.CITATIONS_EXTRACTED, None, False),
        (EventType.GRAPH_EDGE_ADDED, None, False),
        (EventType.AUTHORS_NORMALIZED, None, False),
    ],
)
def test_an_event_drops_what_it_makes_old_and_calls_for_what_no_reader_can_check(
    name: EventType, own: str | None, drops_searches: bool
) -> None:
    event = Event(name=name, data={"resource_id": str(RESOURCE), "version": 2})
    calls = [call for call in plan(event) if call.task == TaskName.INVALIDATE_CACHE]
    searches = ["search_query:*"] if drops_searches else []

    assert cache_keys_of(event) == [*([f"{own}:{RESOURCE}"] if own else []), *searches]
    assert [call.args for call in calls] == ([[searches]] if drops_searches else [])


def test_a_new_profile_drops_what_was_recommended_by_the_old_one_without_a_call() -> None:
    data = {"user_id": "ada", "total_interactions": 10, "revision": 1}
    event = Event(name=EventType.USER_PROFILE_UPDATED, data=data)

    assert cache_keys_of(event) == ["recommendations:ada"]
    assert plan(event) == []


def test_every_derived_kind_has_one_hook_that_keeps_it() -> None:
    kinds = [hook.kind for hook in HOOKS if hook.kind is not None]

    assert sorted(kinds) == sorted(DerivedKind)
