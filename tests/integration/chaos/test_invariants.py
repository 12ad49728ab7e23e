"""The checker: silent where all is well, and each invariant names the violation that was planted for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.models.base import new_id, now
from app.models.derived import DerivedKind
from app.models.outbox import CallState
from app.models.resource import Resource
from chaos.broker_contents import BrokerContents
from chaos.faults import Fault
from chaos.invariants.observed import Bounds, Exit, Measured
from chaos.invariants.table import INVARIANTS
from chaos.ledger import Entry, Write
from tests.integration.chaos.planted import Planted

pytestmark = pytest.mark.integration

EMBEDDING, QUALITY, INDEX = DerivedKind.EMBEDDING, DerivedKind.QUALITY, DerivedKind.SEARCH_INDEX
AUTHORS = DerivedKind.AUTHORS
Spoil = Callable[[Planted, UUID], None]


def with_a_quiet_fault(planted: Planted) -> None:
    """A fault window during which clients wrote as before."""
    began = planted.began
    planted.seen.faults.append(Fault(name="a fault", began=began, ended=began + timedelta(minutes=1)))
    writes = [
        Write(at=began + timedelta(seconds=number), seconds=0.010, status=200, what="PUT /resources/x")
        for number in range(40)
    ]
    planted.seen.ledger.writes += writes
    planted.seen.healthy = writes


def with_a_line(
    planted: Planted, *, urgent: float, low: float, urgent_calls: int = 25, created_at: datetime | None = None
) -> None:
    """Calls that stood in line for so many seconds, by their rank; each of a subject of its own."""
    for number in range(25):
        due = planted.began + timedelta(seconds=number)
        for priority, waited, calls in ((9, urgent, urgent_calls), (5, low, 25)):
            if number < calls:
                planted.build(
                    *(new_id(), EMBEDDING),
                    after_seconds=number,
                    priority=priority,
                    started_at=due + timedelta(seconds=waited),
                    created_at=created_at or now(),
                )


def test_where_all_is_well_nothing_is_found(planted: Planted) -> None:
    planted.accept()
    with_a_quiet_fault(planted)
    with_a_line(planted, urgent=1.5, low=2.0)
    found = {name: check(planted.seen).breaches for name, check in INVARIANTS.items()}
    assert found == dict.fromkeys(INVARIANTS, ())


def lost_write(planted: Planted, one: UUID) -> None:
    planted.seen.ledger.entries[str(new_id())] = Entry(version=1, most=1, content="never stored")


def lost_edit(planted: Planted, one: UUID) -> None:
    entry = planted.seen.ledger.entries[str(one)]
    entry.version, entry.content = 2, "an edit that was answered 200"


def edit_done_twice(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE resources SET version = 2 WHERE id = %s", str(one))


def overwritten_edit(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE resources SET content = 'somebody else''s' WHERE id = %s", str(one))


def undone_delete(planted: Planted, one: UUID) -> None:
    planted.seen.ledger.entries[str(one)].deleted = True


def unasked_delete(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE resources SET deleted_at = now() WHERE id = %s", str(one))
    planted.run("DELETE FROM search_documents")


def deleted_and_indexed(planted: Planted, one: UUID) -> None:
    planted.seen.ledger.entries[str(one)].deleted = True
    planted.run("UPDATE resources SET deleted_at = now() WHERE id = %s", str(one))


def lost_event(planted: Planted, one: UUID) -> None:
    """The change is committed and built from, but no call of it ever ended."""
    planted.run("DELETE FROM effects WHERE kind = 'embedding'")
    planted.run("DELETE FROM task_calls WHERE kind = 'embedding'")


def lost_deletion(planted: Planted, one: UUID) -> None:
    """Whoever deleted it died before the cached pages were dropped, and no call of it ever ended."""
    planted.event("resource.deleted", one, after_seconds=1)


def stale_for_ever(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE resources SET version = 2, content_version = 2 WHERE id = %s", str(one))


def noted_but_not_written(planted: Planted, one: UUID) -> None:
    """The bookkeeping says fresh; the vectors are gone."""
    planted.run("DELETE FROM embeddings WHERE resource_id = %s", str(one))


def forgotten_call(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, state=CallState.SENT, done_at=None)


def unread_document(planted: Planted, one: UUID) -> None:
    planted.seen.ledger.documents["http://page"] = str(one)
    planted.run("UPDATE resources SET ingestion_status = 'pending' WHERE id = %s", str(one))


def doubled_effect(planted: Planted, one: UUID) -> None:
    call = planted.build(one, QUALITY, after_seconds=1)
    planted.effect(call, one, QUALITY, version=1, at=now())


def done_without_effect(planted: Planted, one: UUID) -> None:
    """Everything is built and every call is done, and nothing says by whom, and how often."""
    planted.run("DELETE FROM effects WHERE kind = 'embedding'")


def double_behind_an_upsert(planted: Planted, one: UUID) -> None:
    """The score was written twice into the same row; only its history shows it."""
    planted.score(one, version=1, at=now())


def started_again_for_nothing(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, starts=2)


def sent_again_for_nothing(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, generation=2)


def repeated_too_often(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    planted.build(one, QUALITY, after_seconds=5, starts=4)


def repeated_before_a_retry(planted: Planted, one: UUID) -> None:
    """The attempt that failed was started four times; the one that was tried again, once."""
    with_a_quiet_fault(planted)
    planted.build(one, QUALITY, after_seconds=5, generation=2, attempts=1, history=[failed(planted, starts=4)])


def repeated_before_it_died(planted: Planted, one: UUID) -> None:
    """Replayed since: its row has forgotten what came before."""
    history = [failed(planted, starts=1), failed(planted, starts=3)]
    planted.build(one, QUALITY, after_seconds=5, generation=3, attempts=2, history=history)


def repeated_and_superseded(planted: Planted, one: UUID) -> None:
    """A later call of the same work was there when it was given up."""
    planted.build(one, QUALITY, after_seconds=5, starts=3, state=CallState.SUPERSEDED)


def failed(planted: Planted, *, starts: int) -> dict[str, object]:
    """What a failure leaves in the history of its call."""
    at = planted.began + timedelta(seconds=5)
    return {"at": at.isoformat(), "attempt": 1, "starts": starts, "type": "t", "detail": "d"}


def effect_of_no_call(planted: Planted, one: UUID) -> None:
    planted.effect(new_id(), one, QUALITY, version=1, at=now())


def call_of_no_cause(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, cause=new_id())


def call_from_nowhere(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE task_calls SET causation_id = NULL WHERE kind = 'quality'")


def effect_of_what_was_rolled_back(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, version=2, after_seconds=1)


def index_of_what_was_rolled_back(planted: Planted, one: UUID) -> None:
    planted.run("UPDATE search_documents SET built_from = 2")


def called_twice(planted: Planted, one: UUID) -> None:
    """The relay, or a replay, made another call of the same event; each left one effect."""
    event = planted.event("resource.updated", one)
    for number in range(2):
        planted.build(one, INDEX, cause=event, after_seconds=number)


def resource_of_nobody(planted: Planted, one: UUID) -> None:
    planted.add(Resource(id=new_id(), title="A stranger"))


def started_early(planted: Planted, one: UUID) -> None:
    planted.build(one, QUALITY, started_at=planted.began - timedelta(seconds=1))


def never_drained(planted: Planted, one: UUID) -> None:
    planted.seen.drained_seconds = None


def drained_late(planted: Planted, one: UUID) -> None:
    planted.seen.backlog, planted.seen.drained_seconds = 100, 12.5  # 10 + 100 / 50 are allowed


def refused_write(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    at = planted.began + timedelta(seconds=3)
    planted.seen.ledger.writes.append(Write(at=at, seconds=0.01, status=503, what="PUT /resources/x"))


def unanswered_write(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    at = planted.began + timedelta(seconds=3)
    planted.seen.ledger.writes.append(Write(at=at, seconds=15, status=0, what="PUT /resources/x"))


def slow_writes(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    planted.seen.healthy = [replace(write, seconds=0.008) for write in planted.seen.healthy]


def slow_writes_in_one_of_many_faults(planted: Planted, one: UUID) -> None:
    for number in range(8):
        began = planted.began + timedelta(minutes=number)
        planted.seen.faults.append(Fault(name=f"fault {number}", began=began, ended=began + timedelta(seconds=50)))
        seconds = 0.03 if number == 5 else 0.01
        planted.seen.ledger.writes += [
            Write(at=began + timedelta(seconds=second), seconds=seconds if second < 8 else 0.01, status=200, what="PUT")
            for second in range(40)
        ]
    planted.seen.healthy = [replace(write, seconds=0.01) for write in planted.seen.ledger.writes]


def too_few_writes(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    planted.seen.healthy = []


def slow_though_nothing_is_broken(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    planted.seen.healthy = [replace(write, seconds=0.008) for write in planted.seen.healthy]
    planted.seen.faults.clear()
    planted.seen.steady_from = planted.began


def urgent_waits_longer(planted: Planted, one: UUID) -> None:
    with_a_line(planted, urgent=8, low=4)


def too_few_had_to_wait(planted: Planted, one: UUID) -> None:
    """They waited longer, but are no sample: silence would say that the invariant holds."""
    with_a_line(planted, urgent=8, low=4, urgent_calls=19)


def urgent_waits_longer_in_its_line(planted: Planted, one: UUID) -> None:
    """What was written before the line does not hide it."""
    with_a_line(planted, urgent=2, low=30, created_at=planted.began)
    planted.seen.line_from = planted.began + timedelta(seconds=1)
    with_a_line(planted, urgent=8, low=4, created_at=planted.seen.line_from)


def urgent_is_served_last_after_healing(planted: Planted, one: UUID) -> None:
    served_after_healing(planted, one, urgent_due=40, urgent=8, low_due=10, low=4)


def served_after_healing(
    planted: Planted, one: UUID, *, urgent_due: float, urgent: float, low_due: float, low: float
) -> None:
    """Seconds: when calls were due, and how long after healing, a minute from the beginning, they were started."""
    planted.seen.healed_at = planted.began + timedelta(minutes=1)
    for number in range(25):
        for priority, due, after in ((9, urgent_due, urgent), (5, low_due, low)):
            planted.build(
                one,
                QUALITY,
                after_seconds=due + number / 10,
                priority=priority,
                started_at=planted.seen.healed_at + timedelta(seconds=after),
            )


def message_left(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(ready={"default": 1})


def letter_left_on_the_broker(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(dead={"default": 2})


def orphan_key(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(orphan_keys=("unacked",))


def message_held(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(unacked={"ingest": 1})


def orphan_queue(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(orphan_queues=("of-an-older-version",))


def deleted_queue(planted: Planted, one: UUID) -> None:
    planted.seen.contents = BrokerContents(missing_queues=("batch.dead",))


def dead_innocent(planted: Planted, one: UUID) -> None:
    planted.bury(one)


def living_poison(planted: Planted, one: UUID) -> None:
    planted.seen.expected_dead.add(str(one))


def hung_worker(planted: Planted, one: UUID) -> None:
    planted.seen.consuming_seconds["ml-worker"] = None


def slow_worker(planted: Planted, one: UUID) -> None:
    planted.seen.consuming_seconds["ml-worker"] = 10.4


def worker_that_died(planted: Planted, one: UUID) -> None:
    planted.seen.exits.append(Exit(name="worker", code=1, intended=False))


def three_runs(planted: Planted, one: UUID) -> None:
    with_a_quiet_fault(planted)
    planted.build(one, QUALITY, after_seconds=1)
    planted.build(one, QUALITY, after_seconds=2)


def over_time(planted: Planted, one: UUID, *edits: float, calls: tuple[float, ...]) -> None:
    """Seconds after the resource was created: its edits, and when the calls were made that rebuilt its score."""
    planted.seen.bounds = Bounds(is_faultless=True, runs_per_key=None)
    planted.seen.debounce_scale = 0.2  # of the 10 s of a score
    planted.run("UPDATE task_calls SET created_at = %s", planted.began)
    for after in edits:
        planted.event("resource.content_changed", one, after_seconds=after)
    for after in calls:
        at = planted.began + timedelta(seconds=after)
        planted.build(one, QUALITY, after_seconds=after + 2, created_at=at)


def more_runs_than_edits(planted: Planted, one: UUID) -> None:
    over_time(planted, one, 10, calls=(10, 20))


def edits_of_one_debounce_apart(planted: Planted, one: UUID) -> None:
    over_time(planted, one, 10, 11.5, calls=(10, 11.5))


def last_edit_left_out(planted: Planted, one: UUID) -> None:
    over_time(planted, one, 10, calls=(10,))
    planted.run("UPDATE resources SET version = 2 WHERE id = %s", str(one))


def late_stale_write(planted: Planted, one: UUID) -> None:
    """A frozen worker wakes up and writes what it had read before."""
    planted.build(one, EMBEDDING, version=2, after_seconds=10)
    planted.build(one, EMBEDDING, version=1, after_seconds=20)


def older_score(planted: Planted, one: UUID) -> None:
    planted.score(one, version=2, at=planted.began + timedelta(seconds=10))
    planted.score(one, version=1, at=planted.began + timedelta(seconds=20))


def older_index(planted: Planted, one: UUID) -> None:
    """No record tells of the write that put the older one back."""
    planted.build(one, INDEX, version=2, after_seconds=10)


def older_authors(planted: Planted, one: UUID) -> None:
    """Nor here."""
    planted.build(one, AUTHORS, version=2, after_seconds=10)


def fault_that_did_not_land(planted: Planted, one: UUID) -> None:
    planted.seen.faults.append(Fault(name="down", missed="no connection stood on these lines"))


def unclean_end(planted: Planted, one: UUID) -> None:
    planted.seen.exits.append(Exit(name="relay", code=1, intended=True))


def unhandled_sigterm(planted: Planted, one: UUID) -> None:
    planted.seen.exits.append(Exit(name="worker", code=-15, intended=True))


def killed_by_somebody_else(planted: Planted, one: UUID) -> None:
    """The kernel's memory killer, say, while it was ending."""
    planted.seen.exits.append(Exit(name="worker", code=-9, intended=True))


def end_before_the_kill(planted: Planted, one: UUID) -> None:
    """The SIGKILL that was the fault met nobody."""
    planted.seen.exits.append(Exit(name="relay", code=0, intended=True, killed=True))


def no_fault(planted: Planted, one: UUID) -> None:
    planted.seen.bounds = Bounds()


def late_take_over(planted: Planted, one: UUID) -> None:
    planted.seen.measured.append(Measured(what="start elsewhere", seconds=5.3, at_most=5))


def no_take_over(planted: Planted, one: UUID) -> None:
    planted.seen.measured.append(Measured(what="start elsewhere", seconds=None, at_most=5))


VIOLATIONS: list[tuple[str, Spoil, str]] = [
    ("I1", lost_write, "was accepted and is not there"),
    ("I1", lost_edit, "is of version 1, and 2 was accepted"),
    ("I1", edit_done_twice, "is of version 2, and no more than 1 were sent"),
    ("I1", overwritten_edit, "holds a text that was not the last accepted"),
    ("I1", undone_delete, "was deleted and is there"),
    ("I1", unasked_delete, "is gone, and nobody deleted it"),
    ("I1", deleted_and_indexed, "still indexed, though deleted"),
    ("I1", lost_event, "was not followed by embedding"),
    ("I1", lost_deletion, "was not followed by invalidate_cache_task"),
    ("I1", lost_deletion, "was not followed by authors"),
    ("I1", stale_for_ever, "stale: search_index"),
    ("I1", noted_but_not_written, "stale: embedding"),
    ("I1", forgotten_call, "still sent"),
    ("I1", unread_document, "is pending, not completed"),
    ("I2", doubled_effect, "has 2 effects"),
    ("I2", called_twice, "led to 2 calls of update_search_index_task"),
    ("I2", done_without_effect, "is done and left no effect"),
    ("I2", double_behind_an_upsert, "was scored 2 times by 1 effects"),
    ("I3", started_again_for_nothing, "2 starts"),
    ("I3", sent_again_for_nothing, "sent again 1 times"),
    ("I3", repeated_too_often, "3 executions were repeated, at most 0"),
    ("I3", repeated_before_a_retry, "3 executions were repeated, at most 0"),
    ("I3", repeated_before_it_died, "3 starts"),
    ("I3", repeated_and_superseded, "3 starts"),
    ("I4", effect_of_no_call, "effect of no call"),
    ("I4", call_of_no_cause, "call of no cause"),
    ("I4", call_from_nowhere, "call of no cause: recompute_quality_task"),
    ("I4", effect_of_what_was_rolled_back, "was built from 2, and 1 is the last that was committed"),
    ("I4", index_of_what_was_rolled_back, "search_index of"),
    ("I4", resource_of_nobody, "nobody wrote the resource"),
    ("I5", started_early, "early"),
    ("I6", never_drained, "no time that was waited for"),
    ("I6", drained_late, "drained after 12.5 s, at most 12.0 s"),
    ("I7", refused_write, ": 503"),
    ("I7", unanswered_write, ": 0"),
    ("I7", slow_writes, "p95 was 10 ms, and 8 ms"),
    ("I7", slow_writes_in_one_of_many_faults, "p95 in 6. fault: fault 5 was 30 ms, and 10 ms"),
    ("I7", slow_though_nothing_is_broken, "p95 was 10 ms, and 8 ms"),
    ("I7", too_few_writes, "too few writes"),
    ("I8", urgent_waits_longer, "urgent waited 8.00 s, low 4.00 s"),
    ("I8", too_few_had_to_wait, "19 urgent calls in default"),
    ("I8", urgent_waits_longer_in_its_line, "urgent waited 8.00 s, low 4.00 s"),
    ("I8", urgent_is_served_last_after_healing, "urgent waited 8.00 s, low 4.00 s"),
    ("I9", message_left, "1 messages are left in default"),
    ("I9", letter_left_on_the_broker, "2 dead letters are left in default.dead"),
    ("I9", orphan_key, "orphan key unacked"),
    ("I9", message_held, "1 messages of ingest are held"),
    ("I9", orphan_queue, "orphan queue of-an-older-version"),
    ("I9", deleted_queue, "the queue batch.dead is gone"),
    ("I9", dead_innocent, "dead, though it was no poison"),
    ("I9", living_poison, "poison that is no dead letter"),
    ("I10", hung_worker, "ml-worker consumed again after no time"),
    ("I10", slow_worker, "ml-worker consumed again after 10.4 s, at most 10 s"),
    ("I11", worker_that_died, "worker ended with 1"),
    ("I12", three_runs, "ran 3 times"),
    ("I12", more_runs_than_edits, "ran 3 times for 2 edits"),
    ("I12", edits_of_one_debounce_apart, "called again 0:00:01.500000 after it was called, within 0:00:02"),
    ("I12", last_edit_left_out, "not of the last state"),
    ("I13", late_stale_write, "1 after 2"),
    ("I13", older_score, "1 after 2"),
    ("I13", older_index, "search_index of"),
    ("I13", older_authors, "authors of"),
    ("I14", fault_that_did_not_land, "did not land"),
    ("I14", no_fault, "there was no fault"),
    ("I14", unclean_end, "relay was asked to end and ended with 1"),
    ("I14", unhandled_sigterm, "worker was asked to end and ended with -15"),
    ("I14", killed_by_somebody_else, "worker was asked to end and ended with -9"),
    ("I14", end_before_the_kill, "relay was killed and ended with 0"),
    ("bound", late_take_over, "start elsewhere took 5.3 s, at most 5 s"),
    ("bound", no_take_over, "start elsewhere took no time"),
    ("bound", refused_write, ": 503"),
]


WANTS_A_SAMPLE = {"I7", "I8"}
"""Of no writes and of no line they cannot tell, and say so."""


@pytest.mark.parametrize(
    ("invariant", "spoil", "words"),
    VIOLATIONS,
    ids=[f"{name}-{spoil.__name__}-{words}" for name, spoil, words in VIOLATIONS],
)
def test_a_planted_violation_is_caught_by_its_invariant(
    planted: Planted, invariant: str, spoil: Spoil, words: str
) -> None:
    one = planted.accept()
    assert INVARIANTS[invariant](planted.seen).breaches == () or invariant in WANTS_A_SAMPLE
    spoil(planted, one)
    assert words in "\n".join(INVARIANTS[invariant](planted.seen).breaches)


def test_times_alone_are_measured_again_and_a_refused_write_is_not(planted: Planted) -> None:
    one = planted.accept()
    slow_writes(planted, one)
    assert INVARIANTS["I7"](planted.seen).only_measured
    refused_write(planted, one)
    assert not INVARIANTS["I7"](planted.seen).only_measured


def test_who_waited_before_the_load_of_the_scenario_was_not_in_its_line(planted: Planted) -> None:
    urgent_waits_longer(planted, planted.accept())
    assert "urgent waited" in INVARIANTS["I8"](planted.seen).breaches[0]
    planted.seen.warm_at = now() + timedelta(minutes=1)
    assert "urgent waited" not in "".join(INVARIANTS["I8"](planted.seen).breaches)


def test_who_was_due_first_while_nobody_was_served_has_not_waited_longer(planted: Planted) -> None:
    served_after_healing(planted, planted.accept(), urgent_due=10, urgent=1, low_due=50, low=2)
    assert INVARIANTS["I8"](planted.seen).breaches == ()


def test_what_waiting_in_line_rests_on_is_in_the_verdict(planted: Planted) -> None:
    with_a_line(planted, urgent=1.5, low=2.0, urgent_calls=20)
    assert INVARIANTS["I8"](planted.seen).numbers == {
        "urgent in default": 1.5,
        "low in default": 2.0,
        "urgent calls in default": 20,
        "low calls in default": 25,
    }


def test_how_soon_the_workers_consume_is_in_the_verdict(planted: Planted) -> None:
    planted.seen.consuming_seconds = {"worker": 0.5, "worker-2": 2.0, "ml-worker": 1.0}
    assert INVARIANTS["I10"](planted.seen).numbers == {"slowest": 2.0, "median_seconds": 1.0, "max_seconds": 2.0}


def test_every_invariant_has_a_planted_violation() -> None:
    assert {name for name, *_ in VIOLATIONS} == set(INVARIANTS)


def test_the_ends_that_were_meant_are_sound(planted: Planted) -> None:
    planted.seen.exits += [
        Exit(name="api", code=-15, intended=True),  # uvicorn's way
        Exit(name="relay", code=0, intended=True),
        Exit(name="worker", code=-9, intended=True, killed=True),
    ]
    assert INVARIANTS["I14"](planted.seen).breaches == ()


def test_a_bound_of_the_scenario_takes_the_place_of_the_usual_one(planted: Planted) -> None:
    planted.seen.drained_seconds = 15.0
    assert INVARIANTS["I6"](planted.seen).breaches
    planted.seen.bounds = Bounds(drained_seconds=20)
    assert INVARIANTS["I6"](planted.seen).breaches == ()


def test_a_repeat_in_a_fault_window_is_allowed_as_often_as_the_scenario_says(planted: Planted) -> None:
    one = planted.accept()
    with_a_quiet_fault(planted)
    planted.build(one, QUALITY, after_seconds=5, starts=3, generation=2)
    planted.seen.bounds = Bounds(redone=2)
    assert INVARIANTS["I3"](planted.seen).breaches == ()


def test_each_fault_may_repeat_what_it_has_in_hand_and_no_more(planted: Planted) -> None:
    one = planted.accept()
    with_a_quiet_fault(planted)
    planted.build(one, QUALITY, after_seconds=5, starts=3)
    planted.seen.bounds = Bounds(redone_each=2)
    assert INVARIANTS["I3"](planted.seen).breaches == ()
    planted.build(one, QUALITY, after_seconds=6, starts=2)
    assert INVARIANTS["I3"](planted.seen).breaches == ("3 executions were repeated, at most 2 are allowed",)


def test_the_starts_of_what_is_dead_are_counted_once(planted: Planted) -> None:
    one = planted.accept()
    with_a_quiet_fault(planted)
    history = [failed(planted, starts=3)]
    planted.build(one, QUALITY, after_seconds=5, starts=3, attempts=1, state=CallState.DEAD, history=history)
    assert INVARIANTS["I3"](planted.seen).numbers["redone"] == 2


def test_edits_over_time_cause_as_many_runs_as_they_have_debounces(planted: Planted) -> None:
    over_time(planted, planted.accept(), 0.5, 10, 10.5, 13, calls=(0.5, 10, 13))
    assert INVARIANTS["I12"](planted.seen).breaches == ()
