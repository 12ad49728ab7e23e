"""Every task on every database, run by two workers at once: it leaves what one of them leaves."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select

from app.models.derived import QualityHistory
from app.models.outbox import CallState, EventRecord
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from app.tasks.celery_app import celery_app
from app.tasks.database_task import DatabaseTask
from app.tasks.task_names import TaskName
from tests.integration.tasks.delivery import Body, Outbox, deliver, task_of
from tests.integration.tasks.test_database_task import derived, retire_what_waits, the_call_of

pytestmark = pytest.mark.integration


def met(body: Body, both: Barrier) -> Body:
    """`body`, whose effect is begun when the other has read and computed as well."""

    @functools.wraps(body)
    def run(library: Library, *args: Any, work: Work) -> None:
        body(library, *args, work=meeting(work, both))

    return run


def meeting(work: Work, both: Barrier) -> Work:
    @contextmanager
    def late() -> Iterator[UnitOfWork]:
        both.wait(timeout=30)
        with work() as unit:
            yield unit

    return late


@pytest.mark.parametrize("name", TaskName)
def test_two_workers_at_once_do_what_one_does(library: Library, outbox: Outbox, name: TaskName) -> None:
    call = the_call_of(name, outbox)
    task = celery_app.tasks[str(name)]
    assert isinstance(task, DatabaseTask)
    copies = [outbox.claimed(call), outbox.claimed(call)]
    both = Barrier(2)
    slow = [task_of(met(task.run, both)) for _ in copies]

    with ThreadPoolExecutor(2) as executor:
        for done in [executor.submit(deliver, *one) for one in zip(slow, copies, strict=True)]:
            done.result()

    assert [(outbox.state(one.id), outbox.call(one.id).starts) for one in copies] == [(CallState.DONE, 1)] * 2
    assert told_twice(library) == []
    together = derived(library)
    retire_what_waits(library)
    deliver(task, outbox.claimed(call))
    assert derived(library) == together


def told_twice(library: Library) -> list[object]:
    """Events of one name about one thing of which there is more than one, and scores of a version likewise."""
    scores = select(QualityHistory.resource_id).group_by(QualityHistory.resource_id).having(func.count() > 1)
    with library.database.reader() as session:
        told = Counter((row.name, row.subject) for row in session.scalars(select(EventRecord)))
        return [*(one for one, count in told.items() if count > 1), *session.scalars(scores)]
