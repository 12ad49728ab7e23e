"""Event, EventPriority and EventEmitter: handlers inside this process, best effort.

What must happen whatever dies is not a handler but a hook (`app.events.hooks`): a durable event emitted
here is handed to the recorder first, which stores it with the calls it causes in one commit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

import structlog

from app.events.correlation import causation_id, current_correlation_id
from app.events.event_types import DURABLE, OF_USERS
from app.models.base import new_id, now

HISTORY_LENGTH = 1000

log = structlog.get_logger(__name__)


class EventPriority(IntEnum):
    """How important an event is to those who watch; the order of work is the hook's business."""

    CRITICAL = 100
    HIGH = 75
    NORMAL = 50
    LOW = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: to a resource (`subject`), to a user (`user_id`), or to neither."""

    name: str
    data: Mapping[str, Any]
    priority: EventPriority = EventPriority.NORMAL
    timestamp: datetime = field(default_factory=now)
    correlation_id: str = field(default_factory=current_correlation_id)
    causation_id: str | None = field(default_factory=causation_id.get)
    id: UUID = field(default_factory=new_id)

    @property
    def subject(self) -> UUID | None:
        """The resource it happened to. One that a user only looked at has not changed, and is not meant."""
        resource_id = self.data.get("resource_id")
        if resource_id is None or self.name in OF_USERS:
            return None
        return resource_id if isinstance(resource_id, UUID) else UUID(str(resource_id))

    @property
    def user_id(self) -> str | None:
        """The user it happened to."""
        return str(self.data["user_id"]) if self.name in OF_USERS else None


Handler = Callable[[Event], None]
AsyncHandler = Callable[[Event], Coroutine[Any, Any, None]]


class Recorder(Protocol):
    """Stores a durable event and the calls it causes; returns when they are committed."""

    def __call__(self, event: Event, /) -> None:
        """Commit `event`, then let its handlers run."""
        ...


class EventEmitter:
    """Calls the handlers of an event in the order they were added; one that fails stops nobody else."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, list[tuple[Handler | AsyncHandler, bool]]] = defaultdict(list)
        self._history: deque[Event] = deque(maxlen=HISTORY_LENGTH)
        self._lock = threading.Lock()
        self.recorder: Recorder | None = None

    def on(self, event_name: str, handler: Handler | AsyncHandler, async_handler: bool = False) -> None:
        """Call `handler` for every `event_name`; a coroutine function needs `async_handler=True`."""
        with self._lock:
            self._listeners[event_name].append((handler, async_handler))

    def off(self, event_name: str, handler: Handler | AsyncHandler) -> None:
        """Stop calling `handler`; unknown handlers are ignored."""
        with self._lock:
            kept = [entry for entry in self._listeners[event_name] if entry[0] != handler]
            self._listeners[event_name] = kept

    def emit(
        self,
        event_name: str,
        data: Mapping[str, Any] | None = None,
        priority: EventPriority = EventPriority.NORMAL,
    ) -> Event:
        """Make an event happen: durable ones are committed first, then handlers run.

        Raises what the recorder raises, for an event that could not be stored has not happened.
        """
        event = Event(name=str(event_name), data=dict(data or {}), priority=priority)
        if self.recorder is not None and event.name in DURABLE:
            self.recorder(event)
        else:
            self.dispatch(event)
        return event

    def dispatch(self, event: Event) -> None:
        """Run the handlers of an event that has happened already."""
        with self._lock:
            self._history.append(event)
            listeners = tuple(self._listeners.get(event.name, ()))
        for handler, is_async in listeners:
            try:
                self._call(handler, event, is_async=is_async)
            except Exception:
                log.exception("event handler failed", event_name=event.name, handler=repr(handler))

    def get_listeners(self, event_name: str) -> list[Handler | AsyncHandler]:
        """The handlers of `event_name`, in calling order."""
        with self._lock:
            return [handler for handler, _ in self._listeners.get(event_name, ())]

    def get_event_history(self, limit: int = 100) -> list[Event]:
        """The newest `limit` of the last 1000 events of this process, oldest first."""
        with self._lock:
            return list(self._history)[-limit:] if limit > 0 else []

    def _call(self, handler: Handler | AsyncHandler, event: Event, *, is_async: bool) -> None:
        result = handler(event)
        if is_async and result is not None:
            future = asyncio.run_coroutine_threadsafe(result, self._loop)
            future.add_done_callback(lambda done: _log_failure(done.exception(), event))

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="event-handlers", daemon=True).start()
        return loop


def _log_failure(error: BaseException | None, event: Event) -> None:
    if error is not None:
        log.error("event handler failed", event_name=event.name, exc_info=error)


event_emitter = EventEmitter()
