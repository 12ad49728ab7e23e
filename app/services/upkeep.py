"""Upkeep: cached values dropped for certain, and rows past their retention removed."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from threading import Event
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.errors import CacheUnavailable, TransientError
from app.events import outbox
from app.models.author import AuthorSet
from app.models.base import now
from app.models.batch import ENDED_BATCHES, Batch, BatchItem
from app.models.derived import QualityHistory
from app.models.outbox import (
    OPEN_STATES,
    CallState,
    DeadLetter,
    EffectRecord,
    EventRecord,
    IdempotencyKey,
    ProcessHeartbeat,
    ScheduleTick,
    TaskCall,
    in_state,
)
from app.models.resource import Resource
from app.services.library import Library, Work
from app.services.quality_degradation import needed_since
from app.tasks.task_names import TaskName

SLICE = 200
CANARY_RETENTION = timedelta(minutes=10)
TOMBSTONE_RETENTION = timedelta(days=1)
AWAY = timedelta(seconds=5)
SECOND_LOOK_SECONDS = 2.0


def invalidate(library: Library, cache_keys: list[str], *, work: Work) -> None:
    """Drop keys and patterns; raises `CacheUnavailable` unless every one is gone for certain.

    Then the others that wait to do so are put off: while the cache is away one of them now and then is enough.
    """
    if not library.cache.delete_all(cache_keys):
        with library.database.writer() as session:
            outbox.put_off(session, TaskName.INVALIDATE_CACHE, until=now() + AWAY)
        raise CacheUnavailable("the cache does not answer: its values may be old")
    with work():
        return


def after_cache_return(library: Library) -> None:
    """The cache answers again: what waits for minutes to drop old values is due at once.

    And once more a little later, since an attempt that failed just now may not have been put back yet.
    """
    for pause in (0.0, SECOND_LOOK_SECONDS):
        Event().wait(pause)
        with suppress(TransientError), library.database.writer() as session:
            if outbox.bring_forward(session, TaskName.INVALIDATE_CACHE, moment=now()):
                outbox.wake_relay(session)


def clean_up(library: Library, *, work: Work) -> dict[str, int]:
    """Remove rows past their retention, a slice a transaction, so that nobody waits long for the database.

    Returns how many rows of each kind went.
    """
    settings = library.settings
    moment = now()
    calls = moment - timedelta(days=settings.call_retention_days)
    events = moment - timedelta(days=settings.event_retention_days)
    keys = moment - timedelta(hours=settings.idempotency_key_hours)
    letters = moment - timedelta(days=settings.dead_letter_retention_days)
    dead = aliased(DeadLetter)
    ended = TaskCall.state.not_in(OPEN_STATES) & (TaskCall.done_at < calls)
    unburied = ~exists().where(dead.call_id == TaskCall.id, dead.closed_at.is_(None))
    superseded = (TaskCall.state == "superseded") & (TaskCall.created_at < calls)
    old_scores = QualityHistory.at < moment - timedelta(days=settings.quality_history_days)
    in_force = needed_since(moment, days=settings.quality_degradation_days)
    removed = {
        "dead letters": _remove(library, DeadLetter.id, DeadLetter.closed_at < letters),
        "calls": _remove(library, TaskCall.id, ended & unburied) + _remove(library, TaskCall.id, superseded),
        "effects": _remove(library, EffectRecord.id, EffectRecord.at < calls),
        "events": _remove(library, EventRecord.id, EventRecord.timestamp < events),
        "idempotency keys": _remove(library, IdempotencyKey.key, IdempotencyKey.created_at < keys),
        "heartbeats": _remove(library, ProcessHeartbeat.name, ProcessHeartbeat.seen_at < moment - timedelta(days=1)),
        "schedule ticks": _remove(library, ScheduleTick.call_id, _is_old_tick(calls)),
        "old scores": _remove(library, QualityHistory.id, old_scores & ~in_force),
        "batches": _remove_batches(library, before=moment - timedelta(days=settings.batch_retention_days)),
        "deleted documents": _remove(library, Resource.id, _swept(moment)),
    }
    with work():
        return removed


def _remove_batches(library: Library, *, before: datetime) -> int:
    """The items of each first, in slices: one batch may have as many as there are documents."""
    ended = (Batch.state.in_(ENDED_BATCHES)) & (Batch.finished_at < before)
    with library.database.reader() as session:
        old = list(session.scalars(select(Batch.id).where(ended)))
    for batch_id in old:
        _remove(library, BatchItem.place, BatchItem.batch_id == batch_id)
    return _remove(library, Batch.id, ended & Batch.id.in_(old)) if old else 0


def forget_canaries(library: Library) -> None:
    """Done canaries and their effects are of no use after minutes; there are thousands a day."""
    done = (TaskCall.task == TaskName.CANARY) & (TaskCall.state == CallState.DONE)
    old = done & (TaskCall.done_at < now() - CANARY_RETENTION)
    _remove(library, TaskCall.id, old)
    stale = (EffectRecord.task == TaskName.CANARY) & (EffectRecord.at < now() - CANARY_RETENTION)
    _remove(library, EffectRecord.id, stale)


def _is_old_tick(before: datetime) -> ColumnElement[bool]:
    """Not the last one of its schedule: by that a beat knows, a month later, what was missed."""
    newer = aliased(ScheduleTick)
    is_followed = exists().where(newer.name == ScheduleTick.name, newer.tick > ScheduleTick.tick)
    return and_(ScheduleTick.tick < before, is_followed)


def _swept(moment: datetime) -> ColumnElement[bool]:
    """Tombstones whose reactions have all ended. Their names go before: authors are counted by them."""
    call = aliased(TaskCall)
    reacting = exists().where(call.subject == Resource.id, in_state(*OPEN_STATES, of=call))
    named = exists().where(AuthorSet.resource_id == Resource.id)
    return and_(Resource.deleted_at < moment - TOMBSTONE_RETENTION, ~reacting, ~named)


def _remove(library: Library, key: InstrumentedAttribute[Any], condition: ColumnElement[bool]) -> int:
    table = key.parent.entity
    removed = 0
    while True:
        with library.database.reader() as session:  # searching takes long, and keeps nobody waiting
            slice_of = list(session.scalars(select(key).where(condition).limit(SLICE)))
        if not slice_of:
            return removed
        with library.database.writer() as session:
            unchanged = delete(table).where(key.in_(slice_of), condition)
            session.execute(unchanged, execution_options={"synchronize_session": False})
        removed += len(slice_of)
