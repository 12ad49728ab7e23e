"""The calls of the outbox run to their end in this process, and processes that die at a chosen commit."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from celery.exceptions import Reject
from sqlalchemy import event

from app.events import recovery
from app.models.base import now
from app.services.library import Library
from app.tasks import celery_tasks  # noqa: F401 — registers the tasks
from app.tasks.celery_app import celery_app
from app.tasks.database_task import DatabaseTask, work_over
from app.transports.base import QUEUES
from tests.integration.outbox.claims import claim_due
from tests.integration.tasks.delivery import deliver

MOST_ROUNDS = 300


class Killed(BaseException):
    """The process is gone: no handler of errors sees it."""


def run_all(library: Library, *, most: int = MOST_ROUNDS) -> int:
    """Run what waits, whenever it is due, until nothing does; how many messages were delivered."""
    delivered = 0
    for _ in range(most):
        with library.database.writer() as session:
            later = now() + timedelta(hours=1)
            claimed = [call for queue in QUEUES for call in claim_due(session, queue=queue, limit=50, moment=later)]
        if not claimed:
            return delivered
        for call in claimed:
            task = celery_app.tasks[call.task]
            assert isinstance(task, DatabaseTask)
            with suppress(Reject):
                deliver(task, call)
            delivered += 1
    raise AssertionError(f"calls still wait after {most} rounds")


@contextmanager
def killed_at_commit(library: Library, number: int) -> Iterator[list[bool]]:
    """The commit of this number (from 1) never happens, and the process ends there. Yields whether it came to that."""
    thread, commits, died = threading.get_ident(), [0], [False]

    def count(_connection: object) -> None:
        if threading.get_ident() != thread:  # leases are renewed in a thread of their own
            return
        commits[0] += 1
        if commits[0] == number:
            died[0] = True
            raise Killed

    event.listen(library.database.engine, "commit", count)
    try:
        yield died
    except Killed:
        pass
    finally:
        event.remove(library.database.engine, "commit", count)


def run_all_in_a_process_that_is_killed(library: Library, *, commit: int) -> bool:
    """`run_all` in a process of its own, which gets SIGKILL in the middle of this commit; whether it came to that."""
    child = os.fork()
    if child == 0:
        try:
            library.database.engine.dispose(close=False)  # the connections are those of the parent
            work_over(library)
            commits = itertools.count(1)
            event.listen(
                library.database.engine,
                "commit",
                lambda _connection: os.kill(os.getpid(), signal.SIGKILL) if next(commits) == commit else None,
            )
            run_all(library)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.WEXITSTATUS(status) == 0
    return False


def take_over(library: Library) -> None:
    """What the relay does for calls whose relay or worker is gone."""
    moment = now()
    with library.database.writer() as session:
        lost = recovery.abandoned_claims(session, claimed_before=moment + timedelta(hours=1))
        lost += recovery.expired_leases(session, moment=moment + timedelta(hours=1))
        recovery.let_wait_again(session, lost, moment=moment)
