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


def places_of(number: int) -> range:
    """The places of a chunk."""
    return range(number * CHUNK, (number + 1) * CHUNK)


def tending_call(batch_id: UUID, *, delay: timedelta) -> PlannedCall:
    """Freezes, settles and ends the batch; one of them waits at a time."""
    return _call(batch_id, None, key=tending_key(batch_id), delay=delay)


def tending_key(batch_id: UUID) -> str:
    """By which the waiting one is found."""
    return f"{TaskName.BATCH_PROCESS}:{batch_id}"


def enqueue_chunks(unit: UnitOfWork, batch_id: UUID, *, first: int, end: int) -> None:
    """The calls of the chunks from `first` up to, not including, `end`; those stored before are not stored again."""
    for number in range(first, end):
        _enqueue_once(unit, batch_id, number, call_id=chunk_call_id(batch_id, number))


def enqueue_successor(unit: UnitOfWork, batch_id: UUID, number: int, *, place: int) -> None:
    """Another call of a chunk, whose earlier one died: it begins what waits, from `place` on."""
    _enqueue_once(unit, batch_id, number, call_id=successor_id(batch_id, place))


def chunk_call_id(batch_id: UUID, number: int) -> UUID:
    """The same whoever fans out, and however often (RFC 9562, version 5)."""
    return uuid5(batch_id, f"chunk {number}")


def successor_id(batch_id: UUID, place: int) -> UUID:
    """The same whoever takes up the chunk, and however often."""
    return uuid5(batch_id, f"from {place}")


def _enqueue_once(unit: UnitOfWork, batch_id: UUID, number: int, *, call_id: UUID) -> None:
    unit.enqueue_once(_call(batch_id, number, key=None, delay=timedelta(0)), call_id=call_id)


def _call(batch_id: UUID, number: int | None, *, key: str | None, delay: timedelta) -> PlannedCall:
    return PlannedCall(
        task=TaskName.BATCH_PROCESS,
        args=[str(batch_id), number],
        queue=QUEUE,
        priority=Priority.LOW,
        delay=delay,
        coalesce_key=key,
    )
