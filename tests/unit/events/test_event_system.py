from __future__ import annotations

import threading

import pytest

from app.events.event_system import Event, EventEmitter, EventPriority
from app.events.event_types import EventType


def test_event_emission() -> None:
    """Of the seed: the emitter dispatches to handlers."""
    emitter = EventEmitter()
    seen: list[Event] = []

    emitter.on("test.event", seen.append)
    emitter.emit("test.event", {"data": "value"})

    assert [event.data for event in seen] == [{"data": "value"}]


def test_event_handler_error_isolation() -> None:
    """Of the seed: a handler that fails does not affect the others."""
    emitter = EventEmitter()
    called: list[str] = []

    def handler1(event: Event) -> None:
        raise RuntimeError("Handler 1 error")

    def handler2(event: Event) -> None:
        called.append(event.name)

    emitter.on("test.event", handler1)
    emitter.on("test.event", handler2)
    emitter.emit("test.event")

    assert called == ["test.event"]


def test_a_handler_that_was_removed_is_not_called() -> None:
    emitter = EventEmitter()
    seen: list[Event] = []
    emitter.on("test.event", seen.append)

    emitter.off("test.event", seen.append)
    emitter.emit("test.event")

    assert seen == []
    assert emitter.get_listeners("test.event") == []


def test_handlers_run_in_the_order_they_were_added() -> None:
    emitter = EventEmitter()
    order: list[int] = []
    for number in range(3):
        emitter.on("test.event", lambda _event, number=number: order.append(number))

    emitter.emit("test.event")

    assert order == [0, 1, 2]


def test_an_async_handler_runs_without_holding_up_the_emitter() -> None:
    emitter = EventEmitter()
    done = threading.Event()

    async def handler(event: Event) -> None:
        done.set()

    emitter.on("test.event", handler, async_handler=True)
    emitter.emit("test.event")

    assert done.wait(5)


def test_an_async_handler_that_fails_leaves_the_next_events_alone() -> None:
    emitter = EventEmitter()
    done = threading.Event()

    async def handler(event: Event) -> None:
        if event.data["fail"]:
            raise RuntimeError("no")
        done.set()

    emitter.on("test.event", handler, async_handler=True)
    emitter.emit("test.event", {"fail": True})
    emitter.emit("test.event", {"fail": False})

    assert done.wait(5)


def test_the_history_keeps_the_newest_thousand_events() -> None:
    emitter = EventEmitter()
    for number in range(1005):
        emitter.emit("test.event", {"number": number})

    history = emitter.get_event_history(limit=2000)

    assert [history[0].data["number"], history[-1].data["number"], len(history)] == [5, 1004, 1000]
    assert [event.data["number"] for event in emitter.get_event_history(limit=2)] == [1003, 1004]
    assert emitter.get_event_history(limit=0) == []


def test_a_durable_event_goes_to_the_recorder_and_others_do_not() -> None:
    emitter = EventEmitter()
    recorded: list[Event] = []
    emitter.recorder = recorded.append

    emitter.emit(EventType.RESOURCE_UPDATED, {"resource_id": "x"})
    emitter.emit(EventType.CACHE_HIT, {"key": "x"})

    assert [event.name for event in recorded] == ["resource.updated"]


def test_an_event_that_cannot_be_stored_has_not_happened() -> None:
    emitter = EventEmitter()
    seen: list[Event] = []

    def refuse(event: Event) -> None:
        raise OSError("disk full")

    emitter.recorder = refuse
    emitter.on(EventType.RESOURCE_UPDATED, seen.append)

    with pytest.raises(OSError, match="disk full"):
        emitter.emit(EventType.RESOURCE_UPDATED, {})
    assert seen == []


def test_priorities_are_those_of_the_seed() -> None:
    assert {priority.name: priority.value for priority in EventPriority} == {
        "CRITICAL": 100,
        "HIGH": 75,
        "NORMAL": 50,
        "LOW": 25,
    }
