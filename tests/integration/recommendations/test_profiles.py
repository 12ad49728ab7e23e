"""Profiles follow what users do and what becomes of the documents, on both databases, whatever comes late or twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from threading import Barrier
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import delete, func, select, update

from app.models.base import now
from app.models.derived import Embedding
from app.models.outbox import CallState, DeadLetter, EventRecord, TaskCall
from app.services import consistency, embeddings, interactions, profiles, resources
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from app.tasks.celery_tasks import refresh_recommendation_profile_task
from tests.integration.recommendations.conftest import Readers
from tests.integration.tasks.delivery import Outbox, deliver, task_of

pytestmark = pytest.mark.integration


@pytest.fixture
def bees(readers: Readers) -> UUID:
    return readers.document("Bees make honey in the hive.", subject=["bees"], creator="Ada")


@pytest.fixture
def tea(readers: Readers) -> UUID:
    return readers.document("Tea is made of leaves.", subject=["tea"])


def written(library: Library, user: str = "ada") -> tuple[int, int, int]:
    """Revision of the profile, its input, and how many events told of it."""
    told = select(func.count()).select_from(EventRecord).where(EventRecord.name == "user.profile_updated")
    with library.database.reader() as session:
        profile = profiles.find(session, user)
        assert profile is not None
        return profile.revision, profile.built_from, session.scalar(told) or 0


def during(act: Callable[[], object], *, work: Work) -> Work:
    """`act` happens between the reading and the writing of a task."""

    def late() -> AbstractContextManager[UnitOfWork]:
        act()
        return work()

    return late


def test_a_profile_is_what_was_liked_and_a_second_run_writes_nothing(
    library: Library, readers: Readers, bees: UUID, tea: UUID
) -> None:
    readers.act(bees, "annotation")
    readers.act(tea, "rating", rating=1)
    readers.refresh()

    first = readers.profile()
    assert first is not None
    assert (first.built_from, first.model_id) == (2, library.embedding_model)
    assert first.subjects["bees"] > 0 > first.subjects["tea"]
    assert first.authors == pytest.approx({"Ada": 0.75})
    assert [one["resource_id"] for one in first.likings] == [str(bees)]
    with library.database.reader() as session:
        vectors = [np.frombuffer(session.get_one(Embedding, one).vector, dtype="<f4") for one in (bees, tea)]
    taste = np.frombuffer(first.vector or b"", dtype="<f4")
    assert taste @ vectors[0] > 0.9 > taste @ vectors[1]

    before = written(library)
    readers.refresh()
    readers.refresh()
    assert written(library) == before == (1, 2, 1)
    assert readers.profile().updated_at == first.updated_at  # type: ignore[union-attr] # it is there


def test_a_call_does_it_and_its_second_copy_nothing(library: Library, readers: Readers, bees: UUID) -> None:
    for _ in range(10):
        readers.act(bees)
    outbox = Outbox(library)
    with library.database.writer() as session:
        session.execute(delete(TaskCall).where(TaskCall.task != refresh_recommendation_profile_task.name))
    claimed = outbox.claim()

    deliver(refresh_recommendation_profile_task, claimed)
    deliver(refresh_recommendation_profile_task, claimed)

    assert outbox.state(claimed.id) == CallState.DONE
    assert [effect.version for effect in outbox.effects(claimed.id)] == [10]
    assert written(library) == (1, 10, 1)


def test_two_workers_at_once_write_it_once(library: Library, readers: Readers, bees: UUID) -> None:
    readers.act(bees)
    both = Barrier(2, timeout=30)

    with ThreadPoolExecutor(2) as pool:
        work = during(both.wait, work=library.work)
        for one in [pool.submit(profiles.refresh, library, "ada", work=work) for _ in range(2)]:
            one.result()

    assert written(library) == (1, 1, 1)


def test_an_older_count_never_overwrites_a_newer_one(library: Library, readers: Readers, bees: UUID, tea: UUID) -> None:
    readers.act(bees)

    def overtake() -> None:
        readers.act(tea)
        readers.refresh()

    profiles.refresh(library, "ada", work=during(overtake, work=library.work))

    assert written(library) == (1, 2, 1)
    profile = readers.profile()
    assert profile is not None
    assert set(profile.subjects) == {"bees", "tea"}


@pytest.mark.parametrize("comes_again", [False, True])
def test_nothing_is_written_for_a_user_who_is_forgotten_meanwhile(
    library: Library, readers: Readers, bees: UUID, tea: UUID, comes_again: bool
) -> None:
    readers.act(bees)

    def forget() -> None:
        interactions.forget(library, "ada")
        if comes_again:
            readers.act(tea)

    outbox = Outbox(library)
    [call] = readers.calls()
    with library.database.writer() as session:
        session.execute(update(TaskCall).where(TaskCall.id == call.id).values(due_at=now()))
        session.execute(delete(TaskCall).where(TaskCall.id != call.id))

    def body(library: Library, user_id: str, *, work: Work) -> None:
        profiles.refresh(library, user_id, work=during(forget, work=work))

    claimed = outbox.claim()
    deliver(task_of(body), claimed)

    assert outbox.state(claimed.id) == CallState.DONE
    profile = readers.profile()
    assert (profile is not None) == comes_again
    assert profile is None or (profile.built_from, profile.vector, profile.subjects) == (0, None, {})


def edited(library: Library, bees: UUID) -> Library:
    resources.update(library, bees, {"content": "Wasps build nests."})
    embeddings.regenerate(library, bees, work=library.work)
    return library


def renamed(library: Library, bees: UUID) -> Library:
    resources.update(library, bees, {"subject": ["wasps"]})
    return library


def deleted(library: Library, bees: UUID) -> Library:
    resources.delete(library, bees)
    return library


def another_model(library: Library, bees: UUID) -> Library:
    return replace(library, embedding_model="another")


def interacted(library: Library, bees: UUID) -> Library:
    Readers(library).act(bees, "export")
    return library


@pytest.mark.parametrize("change", [edited, renamed, deleted, another_model, interacted])
def test_what_makes_a_profile_stale_is_found_and_mended_once(
    library: Library, readers: Readers, bees: UUID, tea: UUID, change: Callable[[Library, UUID], Library]
) -> None:
    readers.act(bees)
    readers.act(tea)
    readers.act(tea, user="bob")
    for user in ("ada", "bob"):
        readers.refresh(user)
    before = readers.profile()
    assert before is not None

    library = change(library, bees)
    assert profiles.read(library, "ada")["state"] == "stale"
    users = 2 if change is another_model else 1
    with library.database.writer() as session:
        session.execute(delete(TaskCall))  # whoever was called for it has got lost

    assert profiles.reconcile(library) == users
    assert profiles.reconcile(library) == 0  # they are called for already
    assert sorted(call.args[0] for call in readers.calls()) == ["ada", "bob"][:users]

    for user in ("ada", "bob"):
        profiles.refresh(library, user, work=library.work)
    with library.database.writer() as session:
        session.execute(delete(TaskCall))
    assert profiles.reconcile(library) == 0
    assert profiles.read(library, "ada")["state"] == "fresh"
    after = readers.profile()
    assert after is not None
    assert after.revision == before.revision + 1
    assert after.vector != before.vector or change is renamed
    assert profiles.read(library, "bob")["built_from"] == 1


def test_the_documents_of_a_slice_of_users_are_looked_at_in_each_run(
    library: Library, readers: Readers, bees: UUID, tea: UUID
) -> None:
    users = ["ada", "bob", "cyd", "dan", "eve"]
    for user in users:
        readers.act(tea if user == "eve" else bees, user=user)
        readers.refresh(user)

    def lose_calls() -> None:
        with library.database.writer() as session:
            session.execute(delete(TaskCall))

    renamed(library, tea)
    lose_calls()
    assert [profiles.reconcile(library, most=2) for _ in range(4)] == [0, 0, 1, 0]
    assert [call.args[0] for call in readers.calls()] == ["eve"]

    renamed(library, bees)
    lose_calls()
    assert consistency.repair(library, most=2)["user_profile"] == 5  # all, wherever the last run has ended
    assert sorted(call.args[0] for call in readers.calls()) == users


def test_a_profile_that_failed_for_good_is_left_to_people(library: Library, readers: Readers, bees: UUID) -> None:
    readers.act(bees)
    [call] = readers.calls()
    with library.database.writer() as session:
        session.execute(update(TaskCall).where(TaskCall.id == call.id).values(state=CallState.DEAD, done_at=now()))
        letter = {"task": call.task, "args": call.args, "queue": call.queue, "priority": 3, "reason": "invalid"}
        moment: datetime = now()
        session.add(
            DeadLetter(call_id=call.id, generation=1, error={}, attempts=1, first_at=moment, last_at=moment, **letter)
        )

    assert profiles.reconcile(library) == 0
    with library.database.writer() as session:
        session.execute(update(DeadLetter).values(closed_at=now(), closed_as="discarded"))
    assert profiles.reconcile(library) == 1


def test_a_stale_profile_is_counted_by_consistency(library: Library, readers: Readers, bees: UUID) -> None:
    readers.act(bees)
    with library.database.writer() as session:
        session.execute(delete(TaskCall))

    def stale() -> int:
        with library.database.reader() as session:
            seen = consistency.overview(session, embedding_model=library.embedding_model)
        assert not seen["converged"] or not seen["stale_profiles"]
        return int(seen["stale_profiles"])

    assert stale() == 1
    assert consistency.repair(library)["user_profile"] == 1
    readers.refresh()
    with library.database.writer() as session:
        session.execute(delete(TaskCall))
    assert stale() == 0
