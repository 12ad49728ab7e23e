"""Celery's remote control, as an operator uses it: commands to workers, and what they answer."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from celery import Celery


def tell_workers(
    url: str, command: str, *, destination: list[str] | None = None, arguments: dict[str, Any] | None = None
) -> None:
    """A command to all workers, or to those named; nobody waits for an answer."""
    with closing(Celery(broker=url, set_as_current=False)) as celery:
        celery.control.broadcast(command, destination=destination, arguments=arguments or {})


def queues_of(url: str, worker: str) -> list[str] | None:
    """The queues a worker consumes; None when it does not answer."""
    with closing(Celery(broker=url, set_as_current=False)) as celery:
        answer: Any = celery.control.inspect([worker]).active_queues() or {}
    return [queue["name"] for queue in answer[worker]] if worker in answer else None


def holds_a_waiting_task(url: str, worker: str) -> bool:
    """Whether a worker has the message of a task that none of its processes has said it took."""
    return bool(_tasks_of(url, worker, "reserved"))


def runs_nothing(url: str, worker: str) -> bool:
    """Whether a worker has heard the end of each task that one of its processes took; False when it does not answer."""
    return _tasks_of(url, worker, "active") == []


def _tasks_of(url: str, worker: str, state: str) -> list[Any] | None:
    # A connection of its own: kombu keeps those of its pool, and a test that closes all of them closes these too.
    with closing(Celery(broker=url, set_as_current=False)) as celery, celery.connection_for_write() as connection:
        inspect = celery.control.inspect([worker], connection=connection)
        answer: dict[str, list[Any]] = getattr(inspect, state)() or {}
    return answer.get(worker)
