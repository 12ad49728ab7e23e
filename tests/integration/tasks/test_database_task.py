"""How a task ends: done with its effect, tried again, or dead, on both databases."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from celery.exceptions import Reject
from sqlalchemy import select

from app.errors import FetchUnavailable, InvalidInput, TooManyDeliveries
from app.events import counters, dispatch, execution
from app.events.correlation import correlated
from app.events.dispatch import ClaimedCall
from app.events.event_types import EventType
from app.migrate import METADATA
from app.models.base import now
from app.models.batch import BatchOperation
from app.models.derived import Counter, DerivedKind, DerivedState, Embedding
from app.models.outbox import CallState, EventRecord, TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import batches, citation_graph, citations, consistency
from app.services.library import Library, Work
from app.tasks.celery_app import celery_app
from app.tasks.celery_tasks import regenerate_embedding_task, update_search_index_task
from app.tasks.database_task import DatabaseTask
from app.tasks.room import RoomTaken, room_of_worker
from app.tasks.strangers import stranger_named
from app.tasks.task_names import TaskName
from tests.integration.tasks.delivery import Outbox, call_for, deliver, task_of

pytestmark = pytest.mark.integration

FIRST_DELAY_SECONDS = 4
DERIVED_TABLES = (
    *("search_documents", "search_subjects", "embeddings", "quality_scores", "resources", "pending_uploads"),
    *("author_sets", "authors", "author_variants", "resource_authors"),
    *("resource_categories", "model_versions", "batches", "batch_items"),
    *("citation_sets", "citations", "citation_keys", "resource_keys", "citation_ranks", "content_links"),
    *("derived_states", "quality_history", "events"),
)
OF_CITATIONS = {TaskName.EXTRACT_CITATIONS, TaskName.UPDATE_CITATION_GRAPH, TaskName.RANK_CITATION_GRAPH}
TIMES = {"updated_at", "since", "at", "change", "ingestion_started_at", "ingestion_finished_at"}


def away(library: Library, resource_id: UUID, *, work: Work) -> None:
    raise FetchUnavailable("the page is away")


def wrong(library: Library, resource_id: UUID, *, work: Work) -> None:
    raise InvalidInput("this can never be done")


def surprised(library: Library, resource_id: UUID, *, work: Work) -> None:
    raise ZeroDivisionError("nobody foresaw this")


def marks(library: Library, resource_id: UUID, *, work: Work) -> None:
    with work() as unit:
        unit.session.add(Counter(name=f"mark:{resource_id}", value=1))


def marks_and_fails(library: Library, resource_id: UUID, *, work: Work) -> None:
    with work() as unit:
        unit.session.add(Counter(name=f"mark:{resource_id}", value=1))
        unit.session.flush()
        raise FetchUnavailable("away in the middle of its effect")


def marks_after_it_was_replaced(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Frozen between start and effect, while another worker started the same call."""
    outbox = Outbox(library)
    with library.database.writer() as session:
        [call_id] = session.scalars(select(TaskCall.id).where(TaskCall.subject == resource_id))
        call = outbox.call(call_id)
        execution.start(
            session, call_id, generation=call.generation, owner="successor", lease=timedelta(15), moment=now()
        )
    marks(library, resource_id, work=work)


def marked(library: Library, resource_id: UUID) -> bool:
    with library.database.reader() as session:
        return session.get(Counter, f"mark:{resource_id}") is not None


def test_effect_and_done_mark_are_one_commit(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id))

    deliver(regenerate_embedding_task, claimed)

    call = outbox.call(claimed.id)
    assert (call.state, call.starts, call.attempts, call.lease_until) == (CallState.DONE, 1, 0, None)
    [effect] = outbox.effects(claimed.id)
    assert (effect.generation, effect.kind, effect.subject, effect.version) == (1, "embedding", resource_id, 1)
    with library.database.reader() as session:
        assert session.get_one(Embedding, resource_id).built_from == 1


def test_what_a_task_leaves_names_the_request_at_its_root_and_the_call_that_caused_it(
    library: Library, outbox: Outbox
) -> None:
    resource_id = outbox.resource()
    with correlated(correlation="a request", causation=None):
        claimed = outbox.claimed(
            call_for(resource_id, task=TaskName.UPDATE_SEARCH_INDEX, kind=DerivedKind.SEARCH_INDEX)
        )

    deliver(update_search_index_task, claimed)

    [effect] = outbox.effects(claimed.id)
    with library.database.reader() as session:
        [event] = session.scalars(select(EventRecord).where(EventRecord.name == EventType.SEARCH_INDEX_UPDATED))
    assert effect.correlation_id == "a request"
    assert (event.correlation_id, event.causation_id) == ("a request", str(claimed.id))


def test_an_effect_that_fails_halfway_leaves_nothing(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id))

    deliver(task_of(marks_and_fails), claimed)

    assert not marked(library, resource_id)
    assert outbox.effects(claimed.id) == []
    assert outbox.state(claimed.id) == CallState.WAITING


def test_the_effect_of_an_owner_that_was_replaced_is_dropped(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id))

    deliver(task_of(marks_after_it_was_replaced), claimed)

    call = outbox.call(claimed.id)
    assert not marked(library, resource_id)
    assert (call.state, call.owner) == (CallState.RUNNING, "successor")
    assert outbox.effects(claimed.id) == []


def test_a_stale_generation_is_dropped_without_a_trace(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    old = outbox.claimed(call_for(resource_id))
    with library.database.writer() as session:
        dispatch.wait_again(
            session, old.id, generation=old.generation, states=(CallState.CLAIMED,), due_at=now() - timedelta(1)
        )
    new = outbox.claim()

    deliver(task_of(marks), old)

    assert new.generation == old.generation + 1
    assert not marked(library, resource_id)
    call = outbox.call(old.id)
    assert (call.state, call.starts) == (CallState.CLAIMED, 0)
    deliver(task_of(marks), new)
    assert marked(library, resource_id)


def test_a_temporary_error_waits_in_the_outbox_with_growing_delays_and_keeps_its_history(
    library: Library, outbox: Outbox
) -> None:
    resource_id = outbox.resource()
    task = task_of(away)
    outbox.store(call_for(resource_id))
    for attempt in (1, 2, 3):
        claimed = outbox.claim(moment=now() + timedelta(hours=1))
        before = now()

        deliver(task, claimed)

        call = outbox.call(claimed.id)
        longest = timedelta(seconds=FIRST_DELAY_SECONDS * 2 ** (attempt - 1))
        assert (call.state, call.attempts, call.starts, call.owner) == (CallState.WAITING, attempt, 0, None)
        assert before <= call.due_at <= now() + longest
        assert call.last_error == {"type": "fetch-unavailable", "detail": "the page is away"}
        assert [entry["attempt"] for entry in call.history] == list(range(1, attempt + 1))
    assert outbox.dead_letters() == []


@pytest.mark.parametrize(("body", "error"), [(away, "fetch-unavailable"), (surprised, "ZeroDivisionError")])
def test_when_the_retries_are_used_up_the_call_is_dead_and_says_so_everywhere(
    library: Library, outbox: Outbox, body: Any, error: str
) -> None:
    resource_id = outbox.resource()
    task = task_of(body, max_retries=2)
    call_id = outbox.store(call_for(resource_id))
    for _ in range(2):
        deliver(task, outbox.claim(moment=now() + timedelta(hours=1)))

    with pytest.raises(Reject):
        deliver(task, outbox.claim(moment=now() + timedelta(hours=1)))

    assert outbox.state(call_id) == CallState.DEAD
    [letter] = outbox.dead_letters()
    assert (letter.call_id, letter.reason, letter.attempts) == (call_id, "retries_exhausted", 3)
    assert letter.error["type"] == error
    assert f"in {body.__name__}" in (letter.traceback or "")
    assert [(entry["attempt"], entry["starts"]) for entry in letter.history] == [(1, 1), (2, 1), (3, 1)]
    assert letter.first_at <= letter.last_at
    assert letter.args == [str(resource_id)]
    assert_failed(library, resource_id, error=error)


def test_a_permanent_error_is_dead_at_once(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id))

    with pytest.raises(Reject) as rejected:
        deliver(task_of(wrong), claimed)

    assert rejected.value.args == ("permanent_error: this can never be done", False)  # not put back into the queue
    [letter] = outbox.dead_letters()
    assert (letter.reason, letter.attempts) == ("permanent_error", 1)
    assert letter.error == {"type": "invalid-input", "detail": "this can never be done"}
    assert_failed(library, resource_id, error="invalid-input")


@pytest.mark.parametrize("args", [["no id"], [], ["01a209a6-7676-70e8-a2a2-0b1bc7dbc6c1", 2], [{"id": 1}]])
def test_arguments_that_do_not_fit_are_dead_at_once(library: Library, outbox: Outbox, args: list[Any]) -> None:
    resource_id = outbox.resource()
    claimed = outbox.claimed(call_for(resource_id, args=args))

    with pytest.raises(Reject):
        deliver(task_of(marks), claimed)

    [letter] = outbox.dead_letters()
    assert (letter.reason, letter.error["type"], letter.args) == ("permanent_error", "invalid-input", args)
    assert not marked(library, resource_id)


def started_and_never_ended(library: Library, outbox: Outbox, *, times: int) -> ClaimedCall:
    """A call whose worker died so often."""
    claimed = outbox.claimed(call_for(outbox.resource()))
    for number in range(times):
        with library.database.writer() as session:
            assert execution.start(
                session,
                claimed.id,
                generation=claimed.generation,
                owner=f"died-{number}",
                lease=timedelta(seconds=15),
                moment=now(),
            )
    return claimed


def test_a_call_that_took_its_worker_down_too_often_is_dead(library: Library, outbox: Outbox) -> None:
    claimed = started_and_never_ended(library, outbox, times=library.settings.max_deliveries)
    resource_id = UUID(claimed.args[0])

    with pytest.raises(Reject):
        deliver(task_of(marks), claimed)

    [letter] = outbox.dead_letters()
    assert (letter.reason, letter.error["type"]) == ("delivery_limit", "delivery-limit")
    assert not marked(library, resource_id)
    assert_failed(library, resource_id, error="delivery-limit")


@pytest.mark.parametrize("times", [4, 5])
def test_a_message_of_no_call_that_took_its_worker_down_too_often_is_not_started_again(
    library: Library, outbox: Outbox, times: int
) -> None:
    resource_id, task = outbox.resource(), task_of(marks)
    for _ in range(times):
        with library.database.writer() as session:
            counters.count(session, stranger_named("by hand"), 1)

    task.push_request(id="by hand")
    try:
        with pytest.raises(TooManyDeliveries) if times >= library.settings.max_deliveries else nullcontext():
            task(str(resource_id))
    finally:
        task.pop_request()

    assert marked(library, resource_id) == (times < library.settings.max_deliveries)
    with library.database.reader() as session:
        assert session.get(Counter, stranger_named("by hand")) is None, "it ended, and begins anew if sent anew"


def test_the_last_start_that_a_call_is_allowed_is_made_alone(library: Library, outbox: Outbox) -> None:
    claimed = started_and_never_ended(library, outbox, times=library.settings.max_deliveries - 1)

    def is_alone(library: Library, resource_id: UUID, *, work: Work) -> None:
        with pytest.raises(RoomTaken), room_of_worker().company(patience_seconds=0.1):
            pass
        marks(library, resource_id, work=work)

    deliver(task_of(is_alone), claimed)

    call = outbox.call(claimed.id)
    assert (call.state, call.starts) == (CallState.DONE, library.settings.max_deliveries)
    with room_of_worker().company(patience_seconds=0.1):
        pass


@pytest.mark.parametrize("starts", [0, 4])
def test_who_gets_no_room_in_the_worker_waits_again_and_counts_no_start(
    impatient: Library, outbox: Outbox, starts: int
) -> None:
    claimed = started_and_never_ended(impatient, outbox, times=starts)
    others = room_of_worker()

    with others.company(patience_seconds=1) if starts else others.solitude(patience_seconds=1):
        deliver(task_of(marks), claimed)

    call = outbox.call(claimed.id)
    assert (call.state, call.starts, call.owner, call.lease_until) == (CallState.WAITING, starts, None, None)
    assert now() < call.due_at < now() + timedelta(seconds=10)
    assert not marked(impatient, UUID(claimed.args[0]))


def test_an_ingestion_that_fails_for_good_says_so_on_its_resource(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource(content=None, content_version=0, ingestion_status=IngestionState.PENDING)
    claimed = outbox.claimed(call_for(resource_id, task=TaskName.INGEST_RESOURCE, kind=None))

    with pytest.raises(Reject):
        deliver(task_of(away, max_retries=0), claimed)

    with library.database.reader() as session:
        resource = session.get_one(Resource, resource_id)
    assert resource.ingestion_status == IngestionState.FAILED
    assert resource.ingestion_error == {"type": "fetch-unavailable", "detail": "the page is away"}


@pytest.mark.parametrize("name", TaskName)
def test_every_task_run_twice_changes_nothing_more(library: Library, outbox: Outbox, name: TaskName) -> None:
    call = the_call_of(name, outbox)
    task = celery_app.tasks[str(name)]
    assert isinstance(task, DatabaseTask)
    first = outbox.claimed(call)
    deliver(task, first)
    assert outbox.state(first.id) == CallState.DONE
    once, derived_once = everything(library), derived(library)

    deliver(task, first)  # the same message again

    assert everything(library) == once
    retire_what_waits(library)

    second = outbox.claimed(call)  # the same work as a new call
    deliver(task, second)

    assert outbox.state(second.id) == CallState.DONE
    assert len(outbox.effects(second.id)) == len(outbox.effects(first.id)) == 1
    assert derived(library) == derived_once


def the_call_of(name: TaskName, outbox: Outbox) -> Any:
    if name is TaskName.INGEST_RESOURCE:
        resource_id = outbox.resource(content=None, content_version=0, ingestion_status=IngestionState.PENDING)
        with outbox.library.database.writer() as session:
            session.add(PendingUpload(resource_id=resource_id, data=b"A text that was sent.", file_name="a.txt"))
        return call_for(resource_id, task=name, kind=None)
    if name in OF_CITATIONS:
        resource_id = a_citing_one(outbox, name)
    else:
        resource_id = outbox.resource(authors=["Ann Lee", "Bob Ray"])
    if name is TaskName.BATCH_PROCESS:
        with outbox.library.work() as unit:
            batch = batches.create(unit, BatchOperation.RESCORE, ids=[resource_id], wanted=None, by="test")
        retire_what_waits(outbox.library)
        return call_for(resource_id, task=name, kind=None, args=[str(batch.id), 0])
    arguments: dict[TaskName, list[Any]] = {
        TaskName.INVALIDATE_CACHE: [["search_query:*", f"resource:{resource_id}"]],
        TaskName.RECONCILE: [],
        TaskName.CLEANUP: [],
        TaskName.CANARY: ["default"],
        TaskName.RETRAIN_CLASSIFIER: [],
        TaskName.RANK_CITATION_GRAPH: [],
        TaskName.MONITOR_DEGRADATION: [],
        TaskName.DETECT_OUTLIERS: [],
    }
    kinds = {
        TaskName.REGENERATE_EMBEDDING: DerivedKind.EMBEDDING,
        TaskName.RECOMPUTE_QUALITY: DerivedKind.QUALITY,
        TaskName.UPDATE_SEARCH_INDEX: DerivedKind.SEARCH_INDEX,
        TaskName.NORMALIZE_AUTHORS: DerivedKind.AUTHORS,
        TaskName.CLASSIFY_RESOURCE: DerivedKind.CLASSIFICATION,
        TaskName.EXTRACT_CITATIONS: DerivedKind.CITATIONS,
    }
    return call_for(resource_id, task=name, kind=kinds.get(name), args=arguments.get(name))


def a_citing_one(outbox: Outbox, name: TaskName) -> UUID:
    """A resource that cites another, with what the task before this one has made of both."""
    cited, citing = outbox.resource(doi="10.1234/zebra"), outbox.resource("Zebras: doi:10.1234/zebra, RFC 2119.")
    if name is not TaskName.EXTRACT_CITATIONS:
        for one in (cited, citing):
            citations.extract(outbox.library, one, work=outbox.library.work)
    if name is TaskName.RANK_CITATION_GRAPH:
        citation_graph.update(outbox.library, citing, work=outbox.library.work)
    retire_what_waits(outbox.library)
    return citing


def everything(library: Library) -> dict[str, list[str]]:
    """Every row of every table."""
    with library.database.reader() as session:
        return {
            table.name: sorted(repr(row) for row in session.execute(select(table))) for table in METADATA.sorted_tables
        }


def derived(library: Library) -> dict[str, list[str]]:
    """What is derived, and what of the resources is not the time of a change."""
    with library.database.reader() as session:
        return {
            name: sorted(
                repr(row)
                for row in session.execute(
                    select(*(column for column in METADATA.tables[name].columns if column.name not in TIMES))
                )
            )
            for name in DERIVED_TABLES
        }


def retire_what_waits(library: Library) -> None:
    """The calls that a first run has caused are not what these tests are about."""
    calls = METADATA.tables["task_calls"]
    with library.database.writer() as session:
        session.execute(
            calls.update().where(calls.c.state == CallState.WAITING).values(state=CallState.SUPERSEDED, done_at=now())
        )


def assert_failed(library: Library, resource_id: UUID, *, error: str) -> None:
    """`/consistency` and `/resources/{id}/status` say that its embedding failed, and why."""
    with library.database.reader() as session:
        state = session.get_one(DerivedState, (resource_id, DerivedKind.EMBEDDING))
        resource = session.get_one(Resource, resource_id)
        overview = consistency.overview(session, embedding_model=library.embedding_model)
        status = consistency.resource_status(session, resource, embedding_model=library.embedding_model)
    assert (state.built_from, state.failed_version) == (0, 1)
    assert state.error is not None
    assert state.error["type"] == error
    assert overview["kinds"]["embedding"]["failed"] == 1
    assert overview["kinds"]["embedding"]["stale"] == 0
    assert overview["dead_letters"] == 1
    assert status["derived"]["embedding"]["state"] == "failed"
    assert status["derived"]["embedding"]["error"] == state.error
