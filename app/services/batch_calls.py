"""Batch calls: the calls of the one task that does batches, and by what they are known again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid5

from app.events.hooks import PlannedCall
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName
from app.transports.base import Priority

CHUNK = 50
"""Items of one call: some seconds of work, so that interactive work is never far behind it."""
QUEUE = "batch"


def tending_call(batch_id: UUID, *, delay: timedelta) -> PlannedCall:
    """Freezes, settles and ends the batch; one of them waits at a time."""
    return _call(batch_id, None, key=tending_key(batch_id), delay=delay)


def tending_key(batch_id: UUID) -> str:
    """By which the waiting one is found."""
    return f"{TaskName.BATCH_PROCESS}:{batch_id}"


def enqueue_chunks(unit: UnitOfWork, batch_id: UUID, *, first: int, end: int) -> None:
    """The calls of the chunks from `first` up to, not including, `end`; those stored before are not stored again."""
    for number in range(first, end):
        call = _call(batch_id, number, key=None, delay=timedelta(0))
        unit.enqueue_once(call, call_id=chunk_call_id(batch_id, number))


def chunk_call_id(batch_id: UUID, number: int) -> UUID:
    """The same whoever fans out, and however often (RFC 9562, version 5)."""
    return uuid5(batch_id, f"chunk {number}")


def _call(batch_id: UUID, number: int | None, *, key: str | None, delay: timedelta) -> PlannedCall:
    return PlannedCall(
        task=TaskName.BATCH_PROCESS,
        args=[str(batch_id), number],
        queue=QUEUE,
        priority=Priority.LOW,
        delay=delay,
        coalesce_key=key,
    )
