"""Batch chunks: items begun one by one, each in one transaction with its effect.

A chunk may be doubled, late, or killed between any two statements: each step is one transaction that holds the batch
and finds out what is left to do.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import PermanentError, TransientError
from app.events.execution import describe
from app.models.base import now
from app.models.batch import OPEN_BATCHES, Batch, BatchItem, ItemState
from app.services.batch_calls import CHUNK
from app.services.batch_operations import OPERATIONS
from app.services.batches import lock
from app.services.library import Library, Work

log = structlog.get_logger(__name__)


def process_chunk(library: Library, batch_id: UUID, number: int, *, work: Work) -> None:
    """Begin what waits in this chunk. An item that can never succeed says why, and the next one is begun.

    An error that nobody foresaw is raised after the others had their turn: the call is tried again for what is left.
    """
    unforeseen: Exception | None = None
    for place in _waiting_places(library, batch_id, number):
        try:
            if not begin_item(library, batch_id, place):
                break
        except TransientError:
            raise
        except PermanentError as error:
            fail_items(library, batch_id, [place], describe(error), among=ItemState.WAITING)
        except Exception as error:
            log.warning("batch item not begun", batch_id=str(batch_id), place=place, exc_info=True)
            unforeseen = error
    if unforeseen is not None:
        raise unforeseen
    with work():
        return


def begin_item(library: Library, batch_id: UUID, place: int) -> bool:
    """Mark the item and do its work, in one commit. False: the batch is cancelled or gone, and nothing was done."""
    with library.work() as unit:
        batch = lock(unit.session, batch_id, shared=True)
        if batch is None or batch.state not in OPEN_BATCHES:
            return False
        waiting = (BatchItem.batch_id == batch_id, BatchItem.place == place, BatchItem.state == ItemState.WAITING)
        taken = update(BatchItem).where(*waiting).values(state=ItemState.WORKING)
        item = unit.session.execute(unsynchronised(taken.returning(BatchItem.resource_id, BatchItem.version))).first()
        if item is None:  # another worker has begun it
            return True
        begun = OPERATIONS[batch.operation].begin(library, unit, item.resource_id, version=item.version)
        ended_at = now() if begun.state == ItemState.DONE else None
        marked = update(BatchItem).where(BatchItem.batch_id == batch_id, BatchItem.place == place)
        unit.session.execute(unsynchronised(marked.values(state=begun.state, version=begun.version, ended_at=ended_at)))
        return True


def fail_items(library: Library, batch_id: UUID, places: list[int], error: dict[str, Any], *, among: ItemState) -> None:
    """These items failed for good, unless they have moved on meanwhile."""
    with library.work() as unit:
        lock(unit.session, batch_id)
        fail(unit.session, batch_id, places, error, among=among)


def fail(session: Session, batch_id: UUID, places: list[int], error: dict[str, Any], *, among: ItemState) -> None:
    """Those of these places that are still in this state failed for good. The caller holds the batch."""
    failed = of_state(batch_id, places, among).values(state=ItemState.FAILED, error=error, ended_at=now())
    session.execute(unsynchronised(failed))


def of_state(batch_id: UUID, places: list[int], state: ItemState) -> Any:
    """An UPDATE of those of these places that are still in this state."""
    return update(BatchItem).where(
        BatchItem.batch_id == batch_id, BatchItem.place.in_(places), BatchItem.state == state
    )


def unsynchronised(statement: Any) -> Any:
    """For rows that the session does not hold."""
    return statement.execution_options(synchronize_session=False)


def _waiting_places(library: Library, batch_id: UUID, number: int) -> list[int]:
    in_chunk = (BatchItem.place >= number * CHUNK, BatchItem.place < (number + 1) * CHUNK)
    waiting = select(BatchItem.place).where(
        BatchItem.batch_id == batch_id, BatchItem.state == ItemState.WAITING, *in_chunk
    )
    with library.work() as unit:
        _note_start(unit.session, batch_id)
        return list(unit.session.scalars(waiting.order_by(BatchItem.place)))


def _note_start(session: Session, batch_id: UUID) -> None:
    first = update(Batch).where(Batch.id == batch_id, Batch.started_at.is_(None)).values(started_at=now())
    session.execute(unsynchronised(first))
