"""Batches on both databases: frozen, done once each, failing alone, cancelled, and resumed after any death."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from app.errors import BatchEnded
from app.events.event_types import EventType
from app.models.base import new_id, now
from app.models.batch import Batch, BatchItem, BatchOperation, BatchState, ItemState
from app.models.derived import DerivedKind, QualityScore
from app.models.outbox import CallState, EventRecord, TaskCall
from app.models.resource import IngestionState, Resource
from app.polling import wait_until
from app.services import (
    batch_calls,
    batch_chunks,
    batch_reports,
    batch_tending,
    batches,
    derived_states,
    quality,
    resources,
    upkeep,
)
from app.services.library import Library
from app.services.resource_pages import ResourceFilter
from app.tasks.database_task import work_over
from app.tasks.task_names import TaskName
from app.transports.base import Priority
from tests.integration.tasks.delivery import Outbox
from tests.integration.tasks.running_calls import (
    killed_at_commit,
    run_all,
    run_all_in_a_process_that_is_killed,
    take_over,
)

pytestmark = pytest.mark.integration

COMMITS_AT_MOST = 60
BUILT_EVENT = {
    BatchOperation.RE_EMBED: EventType.EMBEDDING_GENERATED,
    BatchOperation.RESCORE: EventType.QUALITY_COMPUTED,
    BatchOperation.RECLASSIFY: EventType.CLASSIFICATION_COMPLETED,
    BatchOperation.REINDEX: EventType.SEARCH_INDEX_UPDATED,
    BatchOperation.DELETE: EventType.RESOURCE_DELETED,
}


def shelf(library: Library, count: int, **fields: Any) -> list[UUID]:
    """Resources that nothing has reacted to, in the order of their ids."""
    common = {"version": 1, "content_version": 1, "metadata_version": 1, "subject": [], "relation": [], "authors": []}
    rows = [
        {
            "id": new_id(),
            "title": f"Paper {number}",
            "content": f"Zebra {number} grazes.",
            "created_at": now(),
            **common,
        }
        | {"updated_at": now(), "read_status": "unread", "ingestion_status": IngestionState.COMPLETED, **fields}
        for number in range(count)
    ]
    with library.database.writer() as session:
        session.execute(insert(Resource), rows)
    return sorted(UUID(str(row["id"])) for row in rows)


def ask(library: Library, operation: BatchOperation, ids: Sequence[UUID] | None = None, **wanted: Any) -> UUID:
    chosen = ResourceFilter(**wanted) if ids is None else None
    with library.work() as unit:
        return batches.create(unit, operation, ids=ids, wanted=chosen, by="test").id


def states(library: Library, batch_id: UUID) -> dict[UUID, str]:
    with library.database.reader() as session:
        rows = session.execute(select(BatchItem.resource_id, BatchItem.state).where(BatchItem.batch_id == batch_id))
        return {row.resource_id: str(row.state) for row in rows}


def errors(library: Library, batch_id: UUID) -> dict[UUID, str]:
    with library.database.reader() as session:
        failed = select(BatchItem).where(BatchItem.batch_id == batch_id, BatchItem.error.is_not(None))
        return {item.resource_id: item.error["type"] for item in session.scalars(failed) if item.error}


def events(library: Library, name: EventType) -> Counter[str]:
    """How often it happened, by the resource or batch it happened to."""
    with library.database.reader() as session:
        found = session.scalars(select(EventRecord.data).where(EventRecord.name == name))
        return Counter(str(data.get("resource_id") or data.get("batch_id")) for data in found)


def batch_state(library: Library, batch_id: UUID) -> str:
    return str(batch_reports.read(library, batch_id).batch.state)


@pytest.fixture
def immortal(library: Library) -> Iterator[Library]:
    """The same library, whose calls may be started as often as their workers die."""
    settings = library.settings.model_copy(update={"max_deliveries": 10_000})
    changed = replace(library, settings=settings)
    work_over(changed)
    yield changed
    work_over(None)


@pytest.mark.parametrize("operation", list(BatchOperation))
def test_every_item_is_done_once_and_the_batch_says_so(library: Library, operation: BatchOperation) -> None:
    ids = shelf(library, 3)
    batch_id = ask(library, operation, ids)

    run_all(library)

    assert states(library, batch_id) == dict.fromkeys(ids, "done")
    done = events(library, BUILT_EVENT[operation])
    assert {one: done[str(one)] for one in ids} == dict.fromkeys(ids, 1)
    assert events(library, EventType.BATCH_CREATED)[str(batch_id)] == 1
    assert events(library, EventType.BATCH_COMPLETED)[str(batch_id)] == 1
    report = batch_reports.read(library, batch_id)
    assert (report.batch.state, report.batch.total, report.progress.done) == (BatchState.COMPLETED, 3, 3)
    assert report.batch.finished_at is not None
    assert (report.progress.items_per_second or 0) > 0


def test_what_is_fresh_is_built_again_and_done_only_when_it_is_there(library: Library) -> None:
    [one] = shelf(library, 1)
    quality.recompute(library, one, work=library.work)
    batch_id = ask(library, BatchOperation.RESCORE, [one])

    batch_chunks.process_chunk(library, batch_id, 0, work=library.work)
    batch_tending.tend(library, batch_id, work=library.work)

    assert states(library, batch_id) == {one: "working"}
    with library.database.reader() as session:
        of_kind = TaskCall.kind == DerivedKind.QUALITY
        call = session.scalars(select(TaskCall).where(TaskCall.subject == one, of_kind)).one()
        assert (call.task, call.priority) == (TaskName.RECOMPUTE_QUALITY, Priority.LOW)

    quality.recompute(library, one, work=library.work)
    batch_tending.tend(library, batch_id, work=library.work)

    assert events(library, EventType.QUALITY_COMPUTED)[str(one)] == 2
    assert states(library, batch_id) == {one: "done"}
    assert batch_state(library, batch_id) == "completed"


def test_a_build_from_older_input_that_comes_late_does_not_count(library: Library) -> None:
    [one] = shelf(library, 1)
    resources.update(library, one, {"content": "A second text about zebras."})
    quality.recompute(library, one, work=library.work)
    batch_id = ask(library, BatchOperation.RESCORE, [one])
    batch_chunks.process_chunk(library, batch_id, 0, work=library.work)

    with library.work() as unit:
        late = derived_states.lock_for_build(unit.session, one, DerivedKind.QUALITY, version=1)

    assert late is None
    with library.database.reader() as session:
        assert session.get_one(QualityScore, one).built_from == 0


def test_a_filter_is_frozen_in_slices_and_what_comes_later_is_not_in_it(library: Library) -> None:
    ids = shelf(library, batch_tending.SLICE + 70, language="fr")
    shelf(library, 3, language="de")
    gone = shelf(library, 1, language="fr", deleted_at=now())
    unread = shelf(library, 1, language="fr", content_version=0)
    batch_id = ask(library, BatchOperation.REINDEX, language="fr")
    later = shelf(library, 2, language="fr")

    batch_tending.tend(library, batch_id, work=library.work)
    while batch_tending.freeze_slice(library, batch_id):
        pass

    assert set(states(library, batch_id)) == set(ids)
    assert not set(states(library, batch_id)) & {*later, *gone, *unread}
    with library.database.reader() as session:
        places = list(session.scalars(select(BatchItem.place).where(BatchItem.batch_id == batch_id)))
        calls = session.scalars(select(TaskCall).where(TaskCall.task == TaskName.BATCH_PROCESS)).all()
    assert sorted(places) == list(range(len(ids)))
    chunks = {call.args[1]: call.id for call in calls if call.args[1] is not None}
    assert chunks == {number: batch_calls.chunk_call_id(batch_id, number) for number in range(12)}
    assert {(call.queue, call.priority) for call in calls} == {("batch", Priority.LOW)}


def test_an_empty_batch_is_completed(library: Library) -> None:
    batch_id = ask(library, BatchOperation.RESCORE, language="xx")

    run_all(library)

    assert batch_state(library, batch_id) == "completed"
    assert events(library, EventType.BATCH_COMPLETED)[str(batch_id)] == 1


@pytest.mark.parametrize("operation", [BatchOperation.RESCORE, BatchOperation.DELETE])
def test_killed_at_any_commit_it_goes_on_and_does_nothing_twice(immortal: Library, operation: BatchOperation) -> None:
    deaths = 0
    for number in range(1, COMMITS_AT_MOST):
        ids = shelf(immortal, 1, language=f"x{number}")
        batch_id = ask(immortal, operation, language=f"x{number}")
        with killed_at_commit(immortal, number) as died:
            run_all(immortal)
        take_over(immortal)
        run_all(immortal)

        done = events(immortal, BUILT_EVENT[operation])
        assert states(immortal, batch_id) == dict.fromkeys(ids, "done"), number
        assert {one: done[str(one)] for one in ids} == dict.fromkeys(ids, 1), number
        assert events(immortal, EventType.BATCH_COMPLETED)[str(batch_id)] == 1, number
        deaths += died[0]
        if not died[0]:
            break
    assert 8 < deaths < COMMITS_AT_MOST - 1


def test_a_process_that_is_killed_leaves_nothing_that_is_not_taken_up(immortal: Library) -> None:
    def goes_on() -> bool:  # PostgreSQL holds the rows of a killed client until it has noticed
        take_over(immortal)
        run_all(immortal)
        return batch_state(immortal, batch_id) == "completed"

    for commit in (2, 5, 8):
        ids = shelf(immortal, 2, language=f"x{commit}")
        batch_id = ask(immortal, BatchOperation.RESCORE, language=f"x{commit}")
        assert run_all_in_a_process_that_is_killed(immortal, commit=commit)
        assert wait_until(goes_on, within_seconds=30)

        done = events(immortal, EventType.QUALITY_COMPUTED)
        assert states(immortal, batch_id) == dict.fromkeys(ids, "done"), commit
        assert {one: done[str(one)] for one in ids} == dict.fromkeys(ids, 1), commit
        assert events(immortal, EventType.BATCH_COMPLETED)[str(batch_id)] == 1, commit


def test_two_workers_on_one_chunk_do_no_item_twice(library: Library) -> None:
    ids = shelf(library, 12)
    batch_id = ask(library, BatchOperation.DELETE, ids)
    both = threading.Barrier(2)

    def work() -> None:
        both.wait(timeout=30)
        batch_chunks.process_chunk(library, batch_id, 0, work=library.work)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)

    assert states(library, batch_id) == dict.fromkeys(ids, "done")
    assert events(library, EventType.RESOURCE_DELETED) == Counter({str(one): 1 for one in ids})


def test_after_the_answer_to_a_cancel_nothing_is_begun_and_what_was_begun_ends(library: Library) -> None:
    ids = shelf(library, 12)
    batch_id = ask(library, BatchOperation.RESCORE, ids)
    worker = threading.Thread(
        target=batch_chunks.process_chunk, args=(library, batch_id, 0), kwargs={"work": library.work}
    )
    batch_chunks.begin_item(library, batch_id, 0)
    worker.start()
    with library.work() as unit:
        batches.cancel(unit, batch_id)
    begun = {one for one, state in states(library, batch_id).items() if state != "waiting"}
    worker.join(timeout=60)

    assert {one for one, state in states(library, batch_id).items() if state != "waiting"} == begun
    assert ids[0] in begun
    run_all(library)
    report = batch_reports.read(library, batch_id)
    assert (report.progress.done, report.progress.cancelled) == (len(begun), len(ids) - len(begun))
    assert (report.progress.waiting, report.progress.working) == (0, 0)
    assert batch_state(library, batch_id) == "cancelled"
    assert events(library, EventType.BATCH_CANCELLED)[str(batch_id)] == 1
    assert events(library, EventType.BATCH_COMPLETED)[str(batch_id)] == 0


def test_cancelled_twice_it_is_cancelled_once_and_a_completed_one_not_at_all(library: Library) -> None:
    batch_id = ask(library, BatchOperation.RESCORE, shelf(library, 1))
    for _ in range(2):
        with library.work() as unit:
            batches.cancel(unit, batch_id)
    completed = ask(library, BatchOperation.RESCORE, language="xx")
    run_all(library)

    assert events(library, EventType.BATCH_CANCELLED)[str(batch_id)] == 1
    with pytest.raises(BatchEnded), library.work() as unit:
        batches.cancel(unit, completed)


def test_what_was_changed_since_is_not_deleted_and_the_others_are(library: Library) -> None:
    edited, deleted, plain = shelf(library, 3)
    unknown = new_id()
    batch_id = ask(library, BatchOperation.DELETE, [edited, deleted, plain, unknown])
    resources.update(library, edited, {"title": "Somebody has read it, and corrected its title"})
    resources.delete(library, deleted)

    run_all(library)

    assert states(library, batch_id) == {edited: "failed", deleted: "done", plain: "done", unknown: "failed"}
    assert errors(library, batch_id) == {edited: "version-conflict", unknown: "not-found"}
    assert resources.get(library, edited)["version"] == 2
    assert events(library, EventType.RESOURCE_DELETED) == Counter({str(deleted): 1, str(plain): 1})
    report = batch_reports.read(library, batch_id)
    assert {item.resource_id for item in report.failures} == {edited, unknown}
    assert (report.batch.state, report.progress.done, report.progress.failed) == (BatchState.COMPLETED, 2, 2)


def test_what_was_changed_before_a_filter_is_written_down_is_not_deleted_either(library: Library) -> None:
    edited, plain = shelf(library, 2, language="fr")
    batch_id = ask(library, BatchOperation.DELETE, language="fr")
    resources.update(library, edited, {"title": "Read while no worker was there"})

    run_all(library)

    assert states(library, batch_id) == {edited: "failed", plain: "done"}
    assert errors(library, batch_id) == {edited: "version-conflict"}
    assert resources.get(library, edited)["version"] == 2


def test_what_was_changed_before_it_is_written_down_is_built_anew_all_the_same(library: Library) -> None:
    [edited] = shelf(library, 1, language="fr")
    batch_id = ask(library, BatchOperation.RESCORE, language="fr")
    resources.update(library, edited, {"title": "Read while no worker was there"})

    run_all(library)

    assert states(library, batch_id) == {edited: "done"}


def test_an_item_that_fails_says_why_and_stops_no_other(library: Library) -> None:
    good, broken, late = shelf(library, 3)
    [unread] = shelf(library, 1, content_version=0)
    batch_id = ask(library, BatchOperation.RESCORE, [good, broken, late, unread])
    batch_chunks.process_chunk(library, batch_id, 0, work=library.work)
    reason = {"type": "model-mismatch", "detail": "it can never be built"}
    with library.work() as unit:
        derived_states.mark_failed(unit.session, broken, DerivedKind.QUALITY, version=1, error=reason)
    with library.database.writer() as session:
        session.execute(update(TaskCall).where(TaskCall.subject == broken).values(state=CallState.DEAD, done_at=now()))
    resources.delete(library, late)

    run_all(library)

    assert states(library, batch_id) == {good: "done", broken: "failed", late: "failed", unread: "failed"}
    assert errors(library, batch_id) == {broken: "model-mismatch", late: "not-found", unread: "invalid-input"}
    assert batch_state(library, batch_id) == "completed"


def die(library: Library, call_id: UUID, reason: str) -> None:
    """The end of a call, as a worker writes it."""
    error = {"type": reason, "detail": "for a reason"}
    with library.database.writer() as session:
        dead = {"state": CallState.DEAD, "last_error": error, "done_at": now()}
        session.execute(update(TaskCall).where(TaskCall.id == call_id).values(**dead))


def test_a_chunk_whose_call_is_dead_fails_with_its_reason_and_one_without_a_call_gets_one(library: Library) -> None:
    ids = shelf(library, batch_calls.CHUNK + 1)
    batch_id = ask(library, BatchOperation.DELETE, ids)
    dead, lost = (batch_calls.chunk_call_id(batch_id, number) for number in range(2))
    die(library, dead, "retries-exhausted")
    with library.database.writer() as session:
        session.delete(session.get_one(TaskCall, lost))

    run_all(library)

    assert Counter(states(library, batch_id).values()) == {"failed": batch_calls.CHUNK, "done": 1}
    assert set(errors(library, batch_id).values()) == {"retries-exhausted"}
    assert batch_state(library, batch_id) == "completed"


def test_only_the_item_that_a_call_died_at_with_its_workers_fails_if_any(library: Library) -> None:
    """Whose worker died while it went on is no reason against an item; whose worker died at it each time is one."""
    ids = shelf(library, batch_calls.CHUNK + 3)
    batch_id = ask(library, BatchOperation.DELETE, ids)
    first, second = (batch_calls.chunk_call_id(batch_id, number) for number in range(2))
    for place in range(10):
        batch_chunks.begin_item(library, batch_id, place)
    for call in (first, second):
        die(library, call, "delivery-limit")

    for _ in range(2):  # once more changes nothing
        batch_tending.take_up_stranded(library, batch_id)
    assert errors(library, batch_id) == {ids[batch_calls.CHUNK]: "delivery-limit"}

    for place in (10, batch_calls.CHUNK + 1):  # that its successors begin with
        die(library, batch_calls.successor_id(batch_id, place), "delivery-limit")
    batch_tending.take_up_stranded(library, batch_id)
    failed = {ids[place] for place in (10, batch_calls.CHUNK, batch_calls.CHUNK + 1)}
    assert errors(library, batch_id) == dict.fromkeys(failed, "delivery-limit")

    run_all(library)

    assert states(library, batch_id) == dict.fromkeys(ids, "done") | dict.fromkeys(failed, "failed")
    assert batch_state(library, batch_id) == "completed"


def test_the_reconciler_tends_what_nobody_tends(library: Library, outbox: Outbox) -> None:
    batch_id = ask(library, BatchOperation.DELETE, shelf(library, 1))
    tending = TaskCall.coalesce_key == batch_calls.tending_key(batch_id)
    assert batch_tending.revive(library) == 0
    with library.database.writer() as session:
        session.execute(update(TaskCall).where(tending).values(state=CallState.DEAD, done_at=now()))

    assert batch_tending.revive(library) == 1
    assert batch_tending.revive(library) == 0
    run_all(library)

    assert batch_state(library, batch_id) == "completed"
    assert batch_tending.revive(library) == 0


def test_old_batches_go_with_their_items_and_open_ones_stay(library: Library) -> None:
    old, new, still_open = (ask(library, BatchOperation.RESCORE, shelf(library, 2)) for _ in range(3))
    long_ago = now() - timedelta(days=library.settings.batch_retention_days + 1)
    with library.database.writer() as session:
        for batch_id, finished_at in ((old, long_ago), (new, now())):
            session.execute(
                update(Batch).where(Batch.id == batch_id).values(state=BatchState.COMPLETED, finished_at=finished_at)
            )

    removed = upkeep.clean_up(library, work=library.work)

    assert removed["batches"] == 1
    with library.database.reader() as session:
        assert set(session.scalars(select(Batch.id))) == {new, still_open}
        assert session.scalar(select(func.count()).select_from(BatchItem)) == 4


def test_items_are_listed_page_by_page(library: Library) -> None:
    ids = shelf(library, 5)
    batch_id = ask(library, BatchOperation.DELETE, ids)
    batch_chunks.begin_item(library, batch_id, 3)

    first = batch_reports.list_items(library, batch_id, state=ItemState.WAITING, limit=3, cursor=None)
    rest = batch_reports.list_items(library, batch_id, state=ItemState.WAITING, limit=3, cursor=first.next_cursor)

    assert [item.resource_id for item in (*first.items, *rest.items)] == [*ids[:3], ids[4]]
    assert rest.next_cursor is None
    older = ask(library, BatchOperation.DELETE, ids)
    page = batch_reports.list_page(library, limit=1, cursor=None)
    assert [one.batch.id for one in page.items] == [older]
    page = batch_reports.list_page(library, limit=1, cursor=page.next_cursor)
    assert ([one.batch.id for one in page.items], page.next_cursor) == ([batch_id], None)
