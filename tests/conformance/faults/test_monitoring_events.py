"""A worker tells whoever watches that it lives, and waits for no broker to take it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import pytest
from celery.events.dispatcher import EventDispatcher
from kombu import Connection

from app.tasks.celery_app import celery_app
from chaos.polling import poll_until
from tests.conformance.brokers import FragileLab

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

HELD_UP_SECONDS = 10.0


def test_a_heartbeat_for_a_dead_broker_holds_nobody_up_and_later_ones_arrive(fragile: FragileLab) -> None:
    with Connection(fragile.url) as connection, closing(_dispatcher(connection)) as dispatcher:
        _beat_until_seen(dispatcher, fragile.url)

        fragile.server.kill()
        try:
            for _ in range(3):
                beat = Thread(target=_beat, args=(dispatcher,), daemon=True)
                beat.start()
                beat.join(HELD_UP_SECONDS)
                assert not beat.is_alive(), f"a heartbeat took over {HELD_UP_SECONDS:g} s"
        finally:
            fragile.server.start()

        _beat_until_seen(dispatcher, fragile.url)


def _dispatcher(connection: Connection) -> Any:
    dispatcher: EventDispatcher = celery_app.events.Dispatcher(connection, hostname="worker@test")
    return dispatcher


def _beat(dispatcher: EventDispatcher) -> None:
    """As Celery's worker sends it."""
    dispatcher.send("worker-heartbeat", freq=2, retry=True)


def _beat_until_seen(dispatcher: EventDispatcher, url: str) -> None:
    with _seen(url) as seen:

        def beat() -> bool:
            _beat(dispatcher)
            return bool(seen)

        poll_until(beat, within_seconds=20, what="a heartbeat is seen")


@contextmanager
def _seen(url: str) -> Iterator[list[object]]:
    """What a watcher gets to see meanwhile."""
    seen: list[object] = []
    with Connection(url) as connection:
        receiver = celery_app.events.Receiver(connection, handlers={"worker-heartbeat": seen.append})
        watching = Thread(target=lambda: receiver.capture(limit=None, timeout=None, wakeup=False), daemon=True)
        watching.start()
        try:
            yield seen
        finally:
            receiver.should_stop = True
            watching.join(HELD_UP_SECONDS)
