"""Batch tending: the items of a batch written down, what they asked for settled, and its end.

The tending call looks which working items have what they asked for, and waits in the outbox until it looks again. It
may be doubled, late, or killed between any two statements, as a chunk may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, case, exists, false, func, insert, literal, or_, select
from sqlalchemy.orm import Session

from app.errors import TooManyDeliveries
from app.models.base import now
from app.models.batch import OPEN_BATCHES, Batch, BatchItem, BatchState, ItemState
from app.models.derived import DerivedState
from app.models.outbox import OPEN_STATES, CallState, TaskCall, in_state
from app.models.resource import Resource
from app.services.batch_calls import (
    CHUNK,
    chunk_call_id,
    enqueue_chunks,
    enqueue_successor,
    places_of,
    successor_id,
    tending_call,
    tending_key,
)
from app.services.batch_chunks import fail, fail_items, of_state, unsynchronised
from app.services.batch_operations import ANOTHER_VERSION, OPERATIONS
from app.services.batches import complete, filter_of, lock
from app.services.consistency import BUILT
from app.services.library import Library, Work
from app.services.resource_pages import conditions
from app.services.unit_of_work import UnitOfWork

SLICE = 10 * CHUNK
"""Items in one transaction: a request waits for it some milliseconds."""
SLICES_A_CALL = 20
SOONEST, LATEST = timedelta(seconds=0.5), timedelta(seconds=10)
LOOK_AGAIN_SHARE = 10
"""It looks again after a tenth of its age: what it shows is never older than that, and a long batch costs few calls."""


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
        fresh = of_state(batch_id, done, ItemState.WORKING).values(state=ItemState.DONE, ended_at=now())
        unit.session.execute(unsynchronised(fresh))
        for row in ended:
            if row.place not in done:
                fail(unit.session, batch_id, [row.place], _reason(row), among=ItemState.WORKING)
    return len(ended) == SLICE


def take_up_stranded(library: Library, batch_id: UUID) -> None:
    """Chunks with waiting items and no live call: what waits goes on, or fails with the reason of the call.

    A call that died with its workers again and again is made up for by another. If it had begun nothing since it was
    sent, the item that it was at fails: it may well be what the workers died of.
    """
    with library.database.reader() as session:
        batch = session.get(Batch, batch_id)
        chunks = {} if batch is None or batch.state not in OPEN_BATCHES else _waiting_chunks(session, batch_id)
        calls = _latest_calls(session, batch_id, list(chunks))
    for number, places in chunks.items():
        call = calls.get(number)
        if call is None:
            with library.work() as unit:
                enqueue_chunks(unit, batch_id, first=number, end=number + 1)
        elif call.state == CallState.DEAD:
            reason = call.error or {"type": "dead", "detail": "the call of its chunk is dead"}
            if reason["type"] == TooManyDeliveries.slug:
                _go_on(library, batch_id, number, places, has_begun=places[0] > call.begins, reason=reason)
            else:
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
    tended = select(TaskCall.coalesce_key).where(in_state(*OPEN_STATES), TaskCall.coalesce_key.in_(list(keys)))
    known = set(session.scalars(tended)) if keys else set()
    return [one for key, one in sorted(keys.items()) if key not in known]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChunkCall:
    """The latest call of a chunk, and the first place that waited when it was sent."""

    state: CallState
    error: dict[str, Any] | None
    begins: int


def _latest_calls(session: Session, batch_id: UUID, chunks: Sequence[int]) -> dict[int, _ChunkCall]:
    """By the number of the chunk. A successor begins behind whom it succeeds."""
    begins = {chunk_call_id(batch_id, number): number * CHUNK for number in chunks}
    latest = _known_calls(session, begins)
    died = [number for number, call in latest.items() if call.state == CallState.DEAD]
    of_dead = {successor_id(batch_id, place): place for number in died for place in places_of(number)}
    return latest | _known_calls(session, of_dead)


def _known_calls(session: Session, begins: Mapping[UUID, int]) -> dict[int, _ChunkCall]:
    """Of these ids; where a chunk has several, the one that begins last."""
    rows = select(TaskCall.id, TaskCall.state, TaskCall.last_error).where(TaskCall.id.in_(list(begins)))
    found = [_ChunkCall(state=row.state, error=row.last_error, begins=begins[row.id]) for row in session.execute(rows)]
    return {call.begins // CHUNK: call for call in sorted(found, key=lambda call: call.begins)}


def _go_on(
    library: Library, batch_id: UUID, number: int, places: list[int], *, has_begun: bool, reason: dict[str, Any]
) -> None:
    """With the rest of a chunk, in one commit."""
    with library.work() as unit:
        lock(unit.session, batch_id)
        if not has_begun:
            fail(unit.session, batch_id, places[:1], reason, among=ItemState.WAITING)
            places = places[1:]
        if places:
            enqueue_successor(unit, batch_id, number, place=places[0])


def _waiting_chunks(session: Session, batch_id: UUID) -> dict[int, list[int]]:
    """The first places that wait, by the number of their chunk."""
    waiting = select(BatchItem.place).where(BatchItem.batch_id == batch_id, BatchItem.state == ItemState.WAITING)
    chunks: dict[int, list[int]] = {}
    for place in session.scalars(waiting.order_by(BatchItem.place).limit(SLICE * SLICES_A_CALL)):
        chunks.setdefault(place // CHUNK, []).append(place)
    return chunks


def _freezing(session: Session, batch: Batch) -> Any:
    """INSERT … SELECT of the next slice, in the order of ids: what was there when the batch was asked for.

    This may be long after: of what was changed in between, nobody knows the version that was meant.
    """
    version = case((Resource.updated_at <= batch.created_at, Resource.version), else_=ANOTHER_VERSION).label("version")
    matched = (
        select(Resource.id, version)
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
