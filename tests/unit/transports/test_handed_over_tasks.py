"""A task that was written to a process of the pool, which has not said that it took it, when the connection breaks."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from billiard.pool import ApplyResult
from celery.worker import state

from app.transports.rabbitmq_consumer import await_its_process, handed_over_by


class Process:
    """What is asked of one of billiard's."""

    def __init__(self, *, lives: bool) -> None:
        self._lives = lives

    def _is_alive(self) -> bool:
        return self._lives


class Pool:
    """What is asked of Celery's, with one request whose job was written to a process."""

    def __init__(self, *, lives: bool) -> None:
        self.outbound_buffer: list[Any] = []
        self.cache: dict[int, Any] = {}
        self.process = Process(lives=lives)
        self.job = written_to(self.process, self.cache)
        self.request = Request(self.job)
        state.task_reserved(self.request)

    @property
    def _pool(self) -> Pool:
        return self


def written_to(process: Process, cache: dict[int, Any]) -> Any:
    job = ApplyResult(cache, None)
    vars(job)["_write_to"] = process
    return job


class Request:
    def __init__(self, job: Any) -> None:
        self.id = "of a test"
        self.name = "a task"
        self._apply_result = weakref.ref(job)


@pytest.fixture(params=[True, False], ids=["lives", "is dead"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    pool = Pool(lives=request.param)
    yield pool
    state.task_ready(pool.request)


def test_a_written_job_is_handed_over_until_its_process_takes_it(pool: Pool) -> None:
    assert handed_over_by(pool) == [(pool.request, pool.job, pool.process)]
    pool.job._ack(0, 0.0, 4711, None)
    assert handed_over_by(pool) == []


def test_a_job_that_waits_to_be_written_again_is_not_handed_over(pool: Pool) -> None:
    pool.outbound_buffer.append(pool.job)
    assert handed_over_by(pool) == []


def test_it_stays_with_a_process_that_lives_and_is_forgotten_with_a_dead_one(pool: Pool) -> None:
    lives = pool.process._is_alive()
    state.active_requests.add(pool.request)
    pool.job._accepted = True
    pool.job._write_to = Process(lives=True)  # another with the pipes of a dead one, as the pool notes it

    await_its_process(pool.request, pool.job, pool.process)

    assert (pool.job in pool.cache.values()) is lives
    assert (pool.request in state.active_requests) is lives
    assert (state.requests.get("of a test") is pool.request) is lives
    assert not pool.job.accepted()


def test_what_was_said_meanwhile_counts(pool: Pool) -> None:
    pool.job._ack(0, 0.0, 4711, None)
    await_its_process(pool.request, pool.job, pool.process)
    assert pool.job.accepted()
    assert pool.job in pool.cache.values()
