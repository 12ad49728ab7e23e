"""A worker tells whoever watches that it lives, and waits for no broker to take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any

import pytest
from amqp.exceptions import AMQPError
from celery.events.dispatcher import EventDispatcher
from kombu import Connection, pools
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.tasks.celery_app import celery_app
from chaos.polling import poll_until
from tests.conformance.brokers import FragileLab

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

HELD_UP_SECONDS = 10.0
LINE_ERRORS = (OSError, RedisError, AMQPError, OperationalError)
"""The worker's consumer sees them too, and connects anew."""


def test_a_heartbeat_for_a_dead_broker_holds_nobody_up_and_later_ones_arrive(fragile: FragileLab) -> None:
    with Connection(fragile.url) as connection, closing(_dispatcher(connection)) as dispatcher:
        _beat_until_seen(dispatcher, fragile.url)

        fragile.server.kill()
        try:
            for _ in range(3):
                _in_time("a heartbeat", partial(_beat, dispatcher))
        finally:
            fragile.server.start()

        _beat_until_seen(dispatcher, fragile.url)


def test_a_reply_for_a_dead_broker_holds_nobody_up_and_later_ones_go(fragile: FragileLab) -> None:
    with Connection(fragile.url) as connection:
        mailbox: Any = celery_app.control.Mailbox(
            "celery", type="fanout", connection=connection, producer_pool=pools.producers[connection]
        )
        node = mailbox.Node("worker@test", channel=connection.channel())
        reply = partial(node.reply, {"ok": "pong"}, "reply.celery.pidbox", "nobody", ticket="1")
        reply()
        fragile.server.kill()
        try:
            _in_time("a reply", reply)
        finally:
            fragile.server.start()
        reply()


def _in_time(what: str, say: Callable[[], None]) -> None:
    def say_it() -> None:
        with suppress(*LINE_ERRORS):
            say()

    saying = Thread(target=say_it, daemon=True)
    saying.start()
    saying.join(HELD_UP_SECONDS)
    assert not saying.is_alive(), f"{what} took over {HELD_UP_SECONDS:g} s"


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
