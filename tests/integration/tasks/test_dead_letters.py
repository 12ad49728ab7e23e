"""Replay and discard: once, however often they are pressed and by however many, on both databases."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.exceptions import Reject

from app.errors import InvalidInput, LetterClosed, NotFound, NotReplayable, TransientError
from app.events.dispatch import ClaimedCall
from app.models.base import now
from app.models.derived import Counter, DerivedKind
from app.models.outbox import CallState, DeadLetter, LetterEnd, LetterOrigin, TaskCall
from app.models.resource import IngestionState, PendingUpload, Resource
from app.services import consistency, dead_letters, resources, upkeep
from app.services.dead_letters import Closing, LetterFilter, Replayed
from app.services.library import Library, Work
from app.tasks.celery_tasks import ingest_resource_task, regenerate_embedding_task
from app.tasks.task_names import TaskName
from chaos.polling import poll_until
from chaos.processes import OwnedProcess
from chaos.stack import ROOT
from tests.integration.tasks.delivery import Outbox, call_for, deliver, task_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ALL = LetterFilter()


def wrong(library: Library, resource_id: UUID, *, work: Work) -> None:
    raise InvalidInput("this can never be done")


def counts(library: Library, resource_id: UUID, *, work: Work) -> None:
    """An effect that can be counted."""
    with work() as unit:
        counter = unit.session.get(Counter, f"effects:{resource_id}") or Counter(name=f"effects:{resource_id}", value=0)
        counter.value += 1
        unit.session.add(counter)


def effects(library: Library, resource_id: UUID) -> int:
    with library.database.reader() as session:
        counter = session.get(Counter, f"effects:{resource_id}")
    return counter.value if counter else 0


def die(outbox: Outbox, resource_id: UUID, **call: Any) -> DeadLetter:
    """A call of this resource, dead, and its letter."""
    claimed = outbox.claimed(call_for(resource_id, **call))
    with pytest.raises(Reject):
        deliver(task_of(wrong), claimed)
    [letter] = [one for one in outbox.dead_letters() if one.call_id == claimed.id]
    return letter


def replay(library: Library, letter_id: UUID) -> Closing:
    with library.work() as unit:
        return dead_letters.replay(unit, letter_id, by="a test")


def letter_of(library: Library, letter_id: UUID) -> DeadLetter:
    with library.database.reader() as session:
        return session.get_one(DeadLetter, letter_id)


def run_what_is_due(outbox: Outbox, body: Any = counts) -> list[ClaimedCall]:
    """Everything that waits, run once; a stale copy of each beside it."""
    ran = []
    with outbox.library.database.reader() as session:
        due = session.query(TaskCall).where(TaskCall.state == CallState.WAITING).count()
    for _ in range(due):
        claimed = outbox.claim()
        for _copy in range(2):
            deliver(task_of(body), claimed)
        ran.append(claimed)
    return ran


def test_a_replayed_call_waits_anew_in_its_own_queue_and_priority_with_all_attempts_before_it(
    library: Library, outbox: Outbox
) -> None:
    resource_id = outbox.resource()
    letter = die(outbox, resource_id)
    before = outbox.call(letter.call_id)

    closing = replay(library, letter.id)

    call = outbox.call(letter.call_id)
    assert (closing.outcome, closing.changed, closing.call_id) == (LetterEnd.REPLAYED, True, call.id)
    assert (call.state, call.attempts, call.starts, call.owner, call.done_at) == (CallState.WAITING, 0, 0, None, None)
    assert (call.queue, call.priority, call.args) == (before.queue, before.priority, before.args)
    assert call.due_at <= now()
    closed = letter_of(library, letter.id)
    assert (closed.closed_as, closed.closed_by) == (LetterEnd.REPLAYED, "a test")
    [ran] = run_what_is_due(outbox)
    assert ran.generation == letter.generation + 1
    assert effects(library, resource_id) == 1
    assert len(outbox.effects(call.id)) == 1


def test_what_dies_again_has_a_second_letter_with_the_whole_history(library: Library, outbox: Outbox) -> None:
    first = die(outbox, outbox.resource())
    replay(library, first.id)

    with pytest.raises(Reject):
        deliver(task_of(wrong), outbox.claim())

    second = next(letter for letter in outbox.dead_letters() if letter.id != first.id)
    assert (second.call_id, second.generation, second.closed_at) == (first.call_id, first.generation + 1, None)
    assert len(second.history) == 2
    assert replay(library, first.id).changed is False
    assert outbox.state(first.call_id) == CallState.DEAD


def test_while_it_waits_again_its_derived_data_is_stale_and_not_failed(library: Library, outbox: Outbox) -> None:
    letter = die(outbox, outbox.resource())
    replay(library, letter.id)

    with library.database.reader() as session:
        overview = consistency.overview(session, embedding_model=library.embedding_model)
    kind = overview["kinds"]["embedding"]
    assert (kind["failed"], kind["stale"], overview["dead_letters"], overview["open_calls"]) == (0, 1, 0, 1)


@pytest.mark.parametrize("presses", [2, 8])
def test_pressed_by_many_at_once_it_runs_once(library: Library, outbox: Outbox, presses: int) -> None:
    resource_id = outbox.resource()
    letter = die(outbox, resource_id)

    def press(_: int) -> Closing:
        while True:
            try:
                return replay(library, letter.id)
            except TransientError:  # as a client does
                continue

    with ThreadPoolExecutor(presses) as pool:
        closings = list(pool.map(press, range(presses)))

    assert sorted(closing.changed for closing in closings) == [False] * (presses - 1) + [True]
    assert {closing.call_id for closing in closings} == {letter.call_id}
    run_what_is_due(outbox)
    assert effects(library, resource_id) == 1


@pytest.mark.parametrize("killed", ["before", "after"])
def test_two_processes_replay_one_letter_and_one_is_killed_in_the_middle(
    library: Library, outbox: Outbox, migrated_url: str, tmp_path: Path, killed: str
) -> None:
    resource_id = outbox.resource()
    letter = die(outbox, resource_id)

    def process(name: str, stops: str) -> OwnedProcess:
        module = "tests.integration.tasks.replaying_process"
        return OwnedProcess(
            name,
            [sys.executable, "-m", module, str(letter.id), stops],
            log=tmp_path / f"{name}.log",
            environment={"PATH": os.defpath, "DATABASE_URL": migrated_url, "DATA_DIR": str(tmp_path)},
            directory=ROOT,
        )

    victim, other = process("victim", killed), process("other", "never")
    victim.start()
    try:
        poll_until(lambda: "stopped" in victim.log_tail(), within_seconds=60, what="the first is in the middle")
        other.start()
        if killed == "after":
            poll_until(lambda: not other.running, within_seconds=60, what="the second has ended")
        else:
            poll_until(lambda: "pressing" in other.log_tail(), within_seconds=60, what="the second presses too")
            assert other.running
            assert "changed" not in other.log_tail()
        victim.kill()
        poll_until(lambda: not other.running, within_seconds=60, what="the second has ended")
    finally:
        victim.kill()
        other.kill()

    assert f"changed {killed == 'before'}" in other.log_tail()
    assert outbox.state(letter.call_id) == CallState.WAITING
    run_what_is_due(outbox)
    assert effects(library, resource_id) == 1


def test_a_key_that_waits_already_supersedes_the_replay_and_says_so(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    letter = die(outbox, resource_id)
    waiting = outbox.store(call_for(resource_id))

    closing = replay(library, letter.id)
    again = replay(library, letter.id)

    assert (closing.outcome, closing.call_id) == (LetterEnd.SUPERSEDED, waiting)
    assert "waiting call" in closing.detail
    assert (again.outcome, again.changed) == (LetterEnd.SUPERSEDED, False)
    assert outbox.state(letter.call_id) == CallState.SUPERSEDED
    run_what_is_due(outbox)
    assert effects(library, resource_id) == 1


def test_the_replay_for_a_deleted_resource_writes_nothing_and_says_so(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    letter = die(outbox, resource_id)
    resources.delete(library, resource_id)
    with library.database.writer() as session:  # what the deletion itself caused is not looked at here
        session.query(TaskCall).where(TaskCall.state == CallState.WAITING).delete()

    closing = replay(library, letter.id)

    assert "deleted" in closing.detail
    deliver(regenerate_embedding_task, outbox.claim())
    assert outbox.state(letter.call_id) == CallState.DONE
    with library.database.reader() as session:
        assert session.get_one(Resource, resource_id).deleted_at is not None
        assert not consistency.overview(session, embedding_model=library.embedding_model)["open_calls"]


def test_the_bytes_of_an_upload_are_there_for_a_replay_and_go_with_a_discard(library: Library, outbox: Outbox) -> None:
    def upload() -> tuple[UUID, DeadLetter]:
        resource_id = outbox.resource(content=None, content_version=0, ingestion_status=IngestionState.PENDING)
        with library.database.writer() as session:
            data = f"Text number {resource_id} of some length, in plain English words.".encode()
            session.add(PendingUpload(resource_id=resource_id, data=data, media_type="text/plain"))
        return resource_id, die(outbox, resource_id, task=TaskName.INGEST_RESOURCE, kind=None)

    replayed_id, replayed = upload()
    discarded_id, discarded = upload()
    with library.database.reader() as session:
        assert session.get_one(Resource, replayed_id).ingestion_status == IngestionState.FAILED

    with library.work() as unit:
        dead_letters.discard(unit, discarded.id, by="a test", note=None)
    replay(library, replayed.id)

    with library.database.reader() as session:
        assert session.get(PendingUpload, discarded_id) is None
        assert session.get_one(Resource, replayed_id).ingestion_status == IngestionState.PENDING
    deliver(ingest_resource_task, outbox.claim())
    with library.database.reader() as session:
        read = session.get_one(Resource, replayed_id)
        assert (read.ingestion_status, session.get(PendingUpload, replayed_id)) == (IngestionState.COMPLETED, None)
        assert str(replayed_id) in (read.content or "")


def test_many_are_replayed_by_filter_each_once_and_what_cannot_be_is_named(library: Library, outbox: Outbox) -> None:
    wanted = [die(outbox, outbox.resource()) for _ in range(7)]
    strange = keep_message(library, task="make_tea")
    other = die(outbox, outbox.resource(), kind=DerivedKind.QUALITY, task=TaskName.RECOMPUTE_QUALITY)

    reports: list[Replayed] = []
    cursor = None
    while not reports or cursor is not None:
        chosen = LetterFilter(task=TaskName.REGENERATE_EMBEDDING)
        reports.append(dead_letters.replay_many(library, chosen, limit=3, cursor=cursor, by="a test"))
        cursor = reports[-1].next_cursor

    assert [report.replayed for report in reports] == [3, 3, 1]
    assert {outbox.state(letter.call_id) for letter in wanted} == {CallState.WAITING}
    assert outbox.state(other.call_id) == CallState.DEAD
    rest = dead_letters.replay_many(library, ALL, limit=100, cursor=None, by="a test")
    assert (rest.replayed, [letter_id for letter_id, _ in rest.refused]) == (1, [strange])
    assert dead_letters.replay_many(library, ALL, limit=100, cursor=None, by="a test").replayed == 0


def test_filters_of_time_queue_reason_and_resource(library: Library, outbox: Outbox) -> None:
    old, new = die(outbox, outbox.resource()), die(outbox, outbox.resource())
    with library.database.writer() as session:
        session.get_one(DeadLetter, old.id).last_at = now() - timedelta(days=2)
    yesterday = now() - timedelta(days=1)

    def found(**wanted: Any) -> set[UUID]:
        page = dead_letters.list_page(library, LetterFilter(**wanted), limit=10, cursor=None)
        return {letter.id for letter in page.items}

    assert (found(since=yesterday), found(until=yesterday)) == ({new.id}, {old.id})
    assert found(resource_id=old.subject) == {old.id}
    assert found(queue="default", reason="permanent_error") == {old.id, new.id}
    assert found(queue="batch") == found(reason="delivery_limit") == set()


def test_a_message_with_a_known_task_is_replayed_as_a_call_of_its_own(library: Library, outbox: Outbox) -> None:
    resource_id = outbox.resource()
    letter_id = keep_message(library, task=TaskName.REGENERATE_EMBEDDING, args=[str(resource_id)], priority=3)

    closing = replay(library, letter_id)
    assert replay(library, letter_id).changed is False

    assert closing.call_id is not None
    call = outbox.call(closing.call_id)
    assert (call.task, call.args, call.priority) == (TaskName.REGENERATE_EMBEDDING, [str(resource_id)], 3)
    assert (call.subject, call.kind) == (resource_id, DerivedKind.EMBEDDING)
    assert len(run_what_is_due(outbox)) == 1


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"task": "make_tea", "reason": "unknown_task"}, "no task is called make_tea"),
        ({"task": "(unreadable)", "reason": "undecodable"}, "cannot be read"),
        ({"task": TaskName.CANARY, "headers": {"kwargs": {"a": 1}}}, "keyword arguments"),
    ],
)
def test_a_message_that_no_call_can_be_made_of_stays_and_says_why(
    library: Library, outbox: Outbox, message: dict[str, Any], why: str
) -> None:
    letter_id = keep_message(library, **message)

    with pytest.raises(NotReplayable, match=why):
        replay(library, letter_id)

    letter = letter_of(library, letter_id)
    assert letter.closed_at is None
    assert why in (dead_letters.why_not_replayable(letter) or "")


def test_a_discarded_letter_keeps_its_note_and_is_not_replayed(library: Library, outbox: Outbox) -> None:
    letter = die(outbox, outbox.resource())
    for note in ("the page is gone", "a second thought"):
        with library.work() as unit:
            dead_letters.discard(unit, letter.id, by="a test", note=note)

    closed = letter_of(library, letter.id)
    assert (closed.closed_as, closed.note) == (LetterEnd.DISCARDED, "the page is gone")
    with pytest.raises(LetterClosed, match="discarded"):
        replay(library, letter.id)
    assert outbox.state(letter.call_id) == CallState.DEAD


def test_a_replayed_letter_is_not_discarded_and_an_unknown_one_is_neither(library: Library, outbox: Outbox) -> None:
    letter = die(outbox, outbox.resource())
    replay(library, letter.id)
    with pytest.raises(LetterClosed, match="replayed"), library.work() as unit:
        dead_letters.discard(unit, letter.id, by="a test", note=None)
    with pytest.raises(NotFound):
        replay(library, uuid4())
    assert outbox.state(letter.call_id) == CallState.WAITING


def test_closed_letters_go_after_their_retention_and_open_ones_stay(library: Library, outbox: Outbox) -> None:
    kept, young, old = (die(outbox, outbox.resource()) for _ in range(3))
    ages = {young.id: timedelta(days=29), old.id: timedelta(days=31)}
    with library.database.writer() as session:
        for letter_id, age in ages.items():
            session.get_one(DeadLetter, letter_id).closed_at = now() - age
        session.get_one(DeadLetter, kept.id).last_at = now() - timedelta(days=300)

    upkeep.clean_up(library, work=library.work)

    assert {letter.id for letter in outbox.dead_letters()} == {kept.id, young.id}


def keep_message(library: Library, **values: Any) -> UUID:
    """The letter of a message that no call knows."""
    letter = DeadLetter(
        **{
            "id": uuid4(),
            "call_id": uuid4(),
            "generation": 0,
            "origin": LetterOrigin.MESSAGE,
            "args": [],
            "queue": "default",
            "priority": 5,
            "reason": "rejected",
            "error": {"type": "rejected", "detail": "given up"},
            "attempts": 1,
            "first_at": now(),
            **values,
        }
    )
    letter_id = letter.id
    with library.database.writer() as session:
        session.add(letter)
    return letter_id
