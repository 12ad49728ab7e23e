"""What users did is the same after an import, beside what they have done where it is imported."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.models.base import now
from app.models.interaction import Interaction, UserProfile
from app.models.outbox import TaskCall
from app.services import archives, profiles
from app.services.library import Library
from app.tasks.task_names import TaskName
from tests.integration.archives.conftest import act, as_lines, create, exported, imported, records

pytestmark = pytest.mark.integration


def numbers(library: Library, user_id: str) -> dict[UUID, int]:
    with library.database.reader() as session:
        rows = session.scalars(select(Interaction).where(Interaction.user_id == user_id))
        return {row.id: row.number for row in rows}


def total(library: Library, user_id: str) -> int:
    with library.database.reader() as session:
        return session.get_one(UserProfile, user_id).total_interactions


def calls(library: Library) -> list[TaskCall]:
    of_profiles = select(TaskCall).where(TaskCall.task == TaskName.REFRESH_RECOMMENDATION_PROFILE)
    with library.database.reader() as session:
        return list(session.scalars(of_profiles.order_by(TaskCall.coalesce_key)))


def likings(library: Library, user_id: str) -> list[Any]:
    profiles.refresh(library, user_id, work=library.work)
    with library.database.reader() as session:
        return session.get_one(UserProfile, user_id).likings


def acts(lines: list[bytes], user_id: str) -> list[dict[str, Any]]:
    return [said for said in records(lines, "interaction") if said["user_id"] == user_id]


def test_users_are_known_by_what_they_did(small: Library, other: Library) -> None:
    lines = exported(small)
    assert [said["number"] for said in acts(lines, "ann")] == [1, 3]  # the second was with what is deleted

    assert imported(other, lines).failures == []

    assert (total(other, "ann"), total(other, "bob")) == (3, 2)
    assert [(call.args, call.subject_version) for call in calls(other)] == [(["ann"], 3), (["bob"], 2)]
    assert all(call.due_at > now() + timedelta(seconds=10) for call in calls(other))  # once, after the last of them
    for user_id in ("ann", "bob"):
        assert likings(other, user_id) == likings(small, user_id) != []


def test_the_numbers_of_what_was_done_here_are_left_alone(small: Library, other: Library) -> None:
    here = create(other, content="Read here.")
    act(other, "ann", here)
    act(other, "ann", here)
    before = numbers(other, "ann")
    lines = exported(small)
    first, third = (UUID(said["id"]) for said in acts(lines, "ann"))

    assert imported(other, lines).failures == []

    assert numbers(other, "ann") == {**before, first: 3, third: 4}
    assert total(other, "ann") == 4
    count = len(calls(other))
    assert set(imported(other, lines).outcomes) == {"unchanged"}
    assert (numbers(other, "ann"), len(calls(other))) == ({**before, first: 3, third: 4}, count)
    act(other, "ann", here)
    assert total(other, "ann") == 5


def test_an_interaction_waits_for_its_resource(small: Library, other: Library) -> None:
    lines = exported(small)
    said = acts(lines, "ann")
    alone = b"".join(as_lines(*said))

    assert [one.detail for one in archives.import_lines(other, alone).failures] == [
        f"there is no resource {one['resource_id']}" for one in said
    ]
    assert archives.import_lines(other, alone, is_only_checked=True).outcomes == {"created": 2}
    with other.database.reader() as session:
        assert session.get(UserProfile, "ann") is None
    imported(other, lines)
    assert set(imported(other, [alone]).outcomes) == {"unchanged"}


def test_a_time_to_come_counts_as_now(small: Library, other: Library) -> None:
    lines = exported(small)
    imported(other, [line for line in lines if b'"record":"interaction"' not in line])
    said = {**acts(lines, "ann")[0], "at": "2999-01-01T00:00:00Z", "created_at": "2999-01-01T00:00:00Z"}

    assert imported(other, as_lines(said)).outcomes == {"created": 1}

    with other.database.reader() as session:
        row = session.get_one(Interaction, UUID(said["id"]))
        assert max(row.at, row.created_at) <= now()
    assert imported(other, as_lines(said)).outcomes == {"unchanged": 1}


def test_what_is_no_interaction_is_refused(small: Library) -> None:
    said = acts(exported(small), "ann")[0]
    new = {**said, "id": said["id"][:-4] + "0000"}
    broken = {
        "a rating has a number": {**new, "rating": 3},
        "user_id: ": {**new, "user_id": "a/b"},
        "type: ": {**new, "type": "stare"},
        "number: it is none from 1": {**new, "number": 0},
        "number: it is none from 1 to": {**new, "number": 2**31 - 1},
    }
    before = exported(small)

    report = imported(small, as_lines(*broken.values()))

    assert len(report.failures) == len(broken)
    for failure, expected in zip(report.failures, broken, strict=True):
        assert expected in failure.detail
    assert imported(small, as_lines({**said, "at": "2020-01-01T00:00:00Z"})).outcomes == {"kept": 1}
    assert exported(small) == before


def test_two_imports_at_once_take_each_interaction_once(small: Library, other: Library) -> None:
    lines = exported(small)
    imported(other, [line for line in lines if b'"record":"interaction"' not in line])
    here = create(other, content="Read here.")
    reports: list[archives.ImportReport] = []
    together = threading.Barrier(3)

    def run() -> None:
        together.wait()
        reports.append(imported(other, lines[-4:]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    together.wait()
    act(other, "ann", here)
    for thread in threads:
        thread.join()

    assert [report.failures for report in reports] == [[], []]
    assert len(numbers(other, "ann")) == len(set(numbers(other, "ann").values())) == 3
    assert total(other, "ann") == max(numbers(other, "ann").values())
    assert len(numbers(other, "bob")) == 2
