"""Batch work: a batch frozen, its chunks done item by item, what was asked for settled, and its end.

Two kinds of calls of one task. A *chunk* begins its items, each in one transaction with its effect. The *tending* call
writes the items down, looks which working ones have what they asked for, and waits in the outbox until it looks again.
Each may be doubled, late, or killed between any two statements: every step is one transaction that holds the batch and
finds out what is left to do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, Uuid, and_, exists, false, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from app.errors import PermanentError, TransientError
from app.events.execution import describe
from app.models.base import now
from app.models.batch import OPEN_BATCHES, Batch, BatchItem, BatchState, ItemState
from app.models.derived import DerivedState
from app.models.outbox import OPEN_STATES, CallState, TaskCall
from app.models.resource import Resource
from app.services.batch_operations import OPERATIONS
from app.services.batches import (
    CHUNK,
    chunk_call_id,
    complete,
    enqueue_chunks,
    filter_of,
    lock,
    tending_call,
    tending_key,
)
from app.services.consistency import BUILT
from app.services.library import Library, Work
from app.services.resource_pages import conditions
from app.services.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

SLICE = 10 * CHUNK
"""Items in one transaction: a request waits for it some milliseconds."""
SLICES_A_CALL = 20
SOONEST, LATEST = timedelta(seconds=0.5), timedelta(seconds=10)
LOOK_AGAIN_SHARE = 10
"""It looks again after a tenth of its age: what it shows is never older than that, and a long batch costs few calls."""


def process(library: Library, batch_id: UUID, chunk: int | None, *, work: Work) -> None:
    """The task: one chunk, or without a number the whole batch tended."""
    if chunk is None:
        tend(library, batch_id, work=work)
    else:
        process_chunk(library, batch_id, chunk, work=work)


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
        item = unit.session.execute(_unsynchronised(taken.returning(BatchItem.resource_id, BatchItem.version))).first()
        if item is None:  # another worker has begun it
            return True
        begun = OPERATIONS[batch.operation].begin(library, unit, item.resource_id, version=item.version)
        ended_at = now() if begun.state == ItemState.DONE else None
        marked = update(BatchItem).where(BatchItem.batch_id == batch_id, BatchItem.place == place)
        unit.session.execute(
            _unsynchronised(marked.values(state=begun.state, version=begun.version, ended_at=ended_at))
        )
        return True


def fail_items(library: Library, batch_id: UUID, places: list[int], error: dict[str, Any], *, among: ItemState) -> None:
    """These items failed for good, unless they have moved on meanwhile."""
    with library.work() as unit:
        lock(unit.session, batch_id)
        _fail(unit.session, batch_id, places, error, among=among)


def tend(library: Library, batch_id: UUID, *, work: Work) -> None:
    """Freeze what is not frozen, settle what has ended, and complete the batch or look again later."""
    for _ in range(SLICES_A_CALL):
        if not freeze_slice(library, batch_id):
            break
    for _ in range(SLICES_A_CALL):
        if not settle_slice(library, batch_id):
            break
    take_up_stranded(library, batch_id)
    with work() as unit:
        batch = lock(unit.session, batch_id)
        if batch is not None:
            _end_or_look_again(unit, batch)


def freeze_slice(library: Library, batch_id: UUID) -> bool:
    """Write down the next items of a filter, with the calls of their chunks; whether there may be more."""
    with library.work() as unit:
        batch = lock(unit.session, batch_id)
        if batch is None or batch.state != BatchState.FREEZING:
            return False
        frozen = list(unit.session.scalars(_freezing(unit.session, batch)))
        if len(frozen) < SLICE:
            batch.state = BatchState.RUNNING
        if frozen:
            first = batch.total // CHUNK
            batch.frozen_after, batch.total = max(frozen), batch.total + len(frozen)
            enqueue_chunks(unit, batch_id, first=first, end=-(-batch.total // CHUNK))
        return batch.state == BatchState.FREEZING


def settle_slice(library: Library, batch_id: UUID) -> bool:
    """Mark a slice of the working items whose end has come, and say how; whether there may be more."""
    with library.database.reader() as session:
        batch = session.get(Batch, batch_id)
        ended = [] if batch is None else session.execute(_ended(batch).limit(SLICE)).all()
    if not ended:
        return False
    with library.work() as unit:
        lock(unit.session, batch_id)
        done = [row.place for row in ended if row.is_fresh and row.lives]
        fresh = _of_state(batch_id, done, ItemState.WORKING).values(state=ItemState.DONE, ended_at=now())
        unit.session.execute(_unsynchronised(fresh))
        for row in ended:
            if row.place not in done:
                _fail(unit.session, batch_id, [row.place], _reason(row), among=ItemState.WORKING)
    return len(ended) == SLICE


def take_up_stranded(library: Library, batch_id: UUID) -> None:
    """What waits in a chunk whose call is dead fails with the reason of the call; a chunk without a call gets one."""
    with library.database.reader() as session:
        batch = session.get(Batch, batch_id)
        chunks = {} if batch is None or batch.state not in OPEN_BATCHES else _waiting_chunks(session, batch_id)
        ids = {number: chunk_call_id(batch_id, number) for number in chunks}
        calls = select(TaskCall.id, TaskCall.state, TaskCall.last_error).where(TaskCall.id.in_(list(ids.values())))
        known = {row.id: row for row in session.execute(calls)}
    for number, places in chunks.items():
        call = known.get(ids[number])
        if call is None:
            with library.work() as unit:
                enqueue_chunks(unit, batch_id, first=number, end=number + 1)
        elif call.state == CallState.DEAD:
            reason = call.last_error or {"type": "dead", "detail": "the call of its chunk is dead"}
            fail_items(library, batch_id, places, reason, among=ItemState.WAITING)


def revive(library: Library) -> int:
    """Call for the tending of batches that nobody tends though they have not come to rest; how many.

    Part of the reconciler: a tending call that died for good is made up for.
    """
    with library.database.reader() as session:
        if not _untended(session):
            return 0
    with library.work() as unit:
        left = _untended(unit.session)
        unit.enqueue(*(tending_call(one, delay=timedelta(0)) for one in left))
        return len(left)


def _untended(session: Session) -> list[UUID]:
    works = exists().where(BatchItem.batch_id == Batch.id, BatchItem.state == ItemState.WORKING)
    restless = or_(Batch.state.in_(OPEN_BATCHES), and_(Batch.state == BatchState.CANCELLED, works))
    keys = {tending_key(one): one for one in session.scalars(select(Batch.id).where(restless))}
    tended = select(TaskCall.coalesce_key).where(TaskCall.state.in_(OPEN_STATES), TaskCall.coalesce_key.in_(list(keys)))
    known = set(session.scalars(tended)) if keys else set()
    return [one for key, one in sorted(keys.items()) if key not in known]


def _waiting_chunks(session: Session, batch_id: UUID) -> dict[int, list[int]]:
    """The first places that wait, by the number of their chunk."""
    waiting = select(BatchItem.place).where(BatchItem.batch_id == batch_id, BatchItem.state == ItemState.WAITING)
    chunks: dict[int, list[int]] = {}
    for place in session.scalars(waiting.order_by(BatchItem.place).limit(SLICE * SLICES_A_CALL)):
        chunks.setdefault(place // CHUNK, []).append(place)
    return chunks


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
    session.execute(_unsynchronised(first))


def _freezing(session: Session, batch: Batch) -> Any:
    """INSERT … SELECT of the next slice, in the order of ids: what was there when the batch was asked for."""
    matched = (
        select(Resource.id, Resource.version)
        .where(Resource.deleted_at.is_(None), Resource.created_at <= batch.created_at)
        .where(OPERATIONS[batch.operation].applies_to(), *conditions(session, filter_of(batch)))
        .order_by(Resource.id)
        .limit(SLICE)
    )
    if batch.frozen_after is not None:
        matched = matched.where(Resource.id > batch.frozen_after)
    slice_ = matched.subquery()
    place = func.row_number().over(order_by=slice_.c.id) + (batch.total - 1)
    row = select(literal(batch.id, Uuid()), place, slice_.c.id, slice_.c.version, literal(str(ItemState.WAITING)))
    names = ["batch_id", "place", "resource_id", "version", "state"]
    return insert(BatchItem).from_select(names, row).returning(BatchItem.resource_id)


def _ended(batch: Batch) -> Any:
    """Working items that have what they asked for, or never will."""
    kind = OPERATIONS[batch.operation].kind
    working = (BatchItem.batch_id == batch.id, BatchItem.state == ItemState.WORKING)
    if kind is None:
        return select(BatchItem.place).where(*working, false())
    table, same = BUILT[kind], DerivedState.resource_id == BatchItem.resource_id
    lives = Resource.id.is_not(None) & Resource.deleted_at.is_(None)
    is_fresh = func.coalesce(table.built_from, 0) >= BatchItem.version
    has_failed = func.coalesce(DerivedState.failed_version, -1) >= BatchItem.version
    return (
        select(BatchItem.place, BatchItem.resource_id, lives.label("lives"), is_fresh.label("is_fresh"))
        .add_columns(DerivedState.error)
        .outerjoin(Resource, Resource.id == BatchItem.resource_id)
        .outerjoin(table, table.resource_id == BatchItem.resource_id)
        .outerjoin(DerivedState, same & (DerivedState.kind == kind))
        .where(*working, or_(~lives, is_fresh, has_failed))
        .order_by(BatchItem.place)
    )


def _reason(row: Row[Any]) -> dict[str, Any]:
    if not row.lives:
        return {"type": "not-found", "detail": f"resource {row.resource_id} was deleted before it was built"}
    return row.error or {"type": "failed", "detail": "it could not be built"}


def _fail(session: Session, batch_id: UUID, places: list[int], error: dict[str, Any], *, among: ItemState) -> None:
    failed = _of_state(batch_id, places, among).values(state=ItemState.FAILED, error=error, ended_at=now())
    session.execute(_unsynchronised(failed))


def _of_state(batch_id: UUID, places: list[int], state: ItemState) -> Any:
    return update(BatchItem).where(
        BatchItem.batch_id == batch_id, BatchItem.place.in_(places), BatchItem.state == state
    )


def _end_or_look_again(unit: UnitOfWork, batch: Batch) -> None:
    """One of the two, in the commit that ends this call: an open batch is never left alone."""
    of_batch = select(BatchItem.place).where(BatchItem.batch_id == batch.id).limit(1)
    waits = unit.session.scalar(of_batch.where(BatchItem.state == ItemState.WAITING)) is not None
    works = unit.session.scalar(of_batch.where(BatchItem.state == ItemState.WORKING)) is not None
    if batch.state == BatchState.RUNNING and not waits and not works:
        complete(unit, batch)
    elif batch.state in OPEN_BATCHES or works:
        is_frozen = batch.state != BatchState.FREEZING
        unit.enqueue(tending_call(batch.id, delay=_pause(batch) if is_frozen else timedelta(0)))


def _pause(batch: Batch) -> timedelta:
    return min(LATEST, max(SOONEST, (now() - batch.created_at) / LOOK_AGAIN_SHARE))


def _unsynchronised(statement: Any) -> Any:
    """For rows that the session does not hold."""
    return statement.execution_options(synchronize_session=False)
