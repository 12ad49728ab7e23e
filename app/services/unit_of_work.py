"""One transaction: a change, the events it caused and the calls those cause, committed together.

After the commit, and only then, cached values are dropped or superseded, and the handlers of the events run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from app.database import Database
from app.errors import TransientError
from app.events import execution, outbox
from app.events.event_system import Event, EventEmitter, EventPriority
from app.events.execution import StartedCall
from app.events.hooks import PlannedCall, cache_keys_of
from app.models.base import now
from app.tasks.task_names import TaskName


class Invalidated(Protocol):
    """What a unit of work needs of the cache."""

    def delete_all(self, patterns: Iterable[str]) -> bool:
        """Drop keys and families; whether that is certain."""
        ...

    def supersede(self, key: str, value: object, *, version: int) -> bool:
        """Put a value in the place of an older one that is cached, if one is."""
        ...


class UnitOfWork:
    """What a service writes through: `session` for rows, `emit` for what happened."""

    def __init__(self, session: Session, *, debounce_scale: float, call: StartedCall | None = None) -> None:
        self.session = session
        self.call = call
        self.events: list[Event] = []
        self.old_keys: dict[str, None] = {}
        self.new_values: dict[str, tuple[object, int]] = {}
        self.invalidations: list[outbox.StoredCall] = []
        self._debounce_scale = debounce_scale
        self._unstored: list[Event] = []
        self._planned: list[PlannedCall] = []
        self._call_count = 0
        self._effect_version: int | None = None

    def emit(
        self,
        name: str,
        data: Mapping[str, Any],
        priority: EventPriority = EventPriority.NORMAL,
    ) -> Event:
        """Something happened in this transaction; it is stored, and told to handlers once committed."""
        event = Event(name=str(name), data=dict(data), priority=priority)
        self.add(event)
        return event

    def add(self, event: Event) -> None:
        """Store an event that exists already."""
        self.events.append(event)
        self._unstored.append(event)
        self.drop(cache_keys_of(event))

    def drop(self, keys: Iterable[str]) -> None:
        """Keys and families of the cache whose values are old once this is committed."""
        self.old_keys |= dict.fromkeys(keys)

    def supersede(self, key: str, value: object, *, version: int) -> None:
        """What the cache holds under this key is old once this is committed, and this is to stand there instead.

        Only for keys whose readers know the version. The value is at hand: the next reader need not compute it.
        """
        self.new_values[key] = (value, version)

    def enqueue(self, *calls: PlannedCall) -> None:
        """Calls that no event causes; their delays are no debounce, and not scaled like one."""
        self._planned += calls

    def enqueue_once(self, call: PlannedCall, *, call_id: UUID) -> bool:
        """A call under an id that its cause determines; False when it is stored already."""
        stored = outbox.enqueue_once(self.session, call, call_id=call_id)
        self._call_count += stored
        return stored

    def store(self) -> list[outbox.StoredCall]:
        """Write the events and calls so far, and return the calls: for who needs their ids before `close`, at the end.

        Two transactions that store theirs piecemeal could wait for each other's.
        """
        events, self._unstored = self._unstored, []
        planned, self._planned = self._planned, []
        stored = outbox.store(self.session, events, planned, debounce_scale=self._debounce_scale)
        self._call_count += len(stored)
        self.invalidations += [call for call in stored if call.task == TaskName.INVALIDATE_CACHE]
        return stored

    def built(self, version: int) -> None:
        """The input version the effect of this call was built from, for its record; unsaid: nothing was written."""
        self._effect_version = version

    def close(self) -> None:
        """Last writes before the commit: events, calls, and the done-mark of the call this work is the effect of."""
        self.store()
        if self.call is not None:
            execution.finish(self.session, self.call, version=self._effect_version, moment=now())
        if self._call_count:
            outbox.wake_relay(self.session)


@contextmanager
def unit_of_work(
    database: Database,
    *,
    emitter: EventEmitter,
    cache: Invalidated,
    debounce_scale: float,
    call: StartedCall | None = None,
) -> Iterator[UnitOfWork]:
    """Commit at the end of the block, or leave no trace.

    With `call` the work is the effect of that call: it is done in the same commit, or `StaleOwner` is raised
    and nothing is written.
    """
    with database.writer() as session:
        work = UnitOfWork(session, debounce_scale=debounce_scale, call=call)
        yield work
        work.close()
    # At once, and best effort: the invalidation call of the hook table backs it.
    dropped = _tell_the_cache(cache, work)
    if dropped and call is not None:
        _withdraw_invalidations(database, work)
    for event in work.events:
        emitter.dispatch(event)


def _tell_the_cache(cache: Invalidated, work: UnitOfWork) -> bool:
    """Whether what is old is dropped for certain."""
    old = [key for key in work.old_keys if key not in work.new_values]
    dropped = bool(old) and cache.delete_all(old)
    for key, (value, version) in work.new_values.items():
        cache.supersede(key, value, version=version)
    return dropped


def _withdraw_invalidations(database: Database, work: UnitOfWork) -> None:
    """The cache is known to hold nothing old, so the calls that would see to it are not needed.

    Only in workers: a request is not kept waiting for a second commit. A process that dies before this leaves the
    call, which drops the same keys once more.
    """
    if work.invalidations:
        with suppress(TransientError), database.writer() as session:
            outbox.withdraw(session, work.invalidations, caused_by=[str(event.id) for event in work.events])
