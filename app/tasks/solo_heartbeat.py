"""Heartbeats of a solo worker in a task: its one thread works, and RabbitMQ would take it for dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

from celery import bootsteps
from celery.concurrency.solo import TaskPool
from celery.signals import task_postrun, task_prerun
from celery.worker.consumer.events import Events

BEATS_A_HEARTBEAT = 3


class SoloHeartbeat(bootsteps.StartStopStep):
    """A thread that beats on the worker's connections, only while the main thread is in a task and uses neither.

    The two never meet on a connection: `_in_task` changes under the lock that the thread holds while it sends.
    """

    requires = (Events,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._consumer = consumer
        self._in_task = False
        self._lock = Lock()
        self._thread: Thread | None = None

    def include_if(self, consumer: Any) -> bool:
        """Other pools work beside the thread that beats; Redis knows no heartbeats."""
        return isinstance(consumer.pool, TaskPool) and bool(consumer.amqheartbeat)

    def start(self, consumer: Any) -> None:
        """Beat from the first connection on; later ones are found when they are needed."""
        if self._thread is None:
            task_prerun.connect(self._begin_task, weak=False)
            task_postrun.connect(self._end_task, weak=False)
            seconds = consumer.amqheartbeat / BEATS_A_HEARTBEAT
            self._thread = Thread(target=self._beat, args=(seconds,), name="solo-heartbeat", daemon=True)
            self._thread.start()

    def _begin_task(self, **_: object) -> None:
        with self._lock:
            self._in_task = True

    def _end_task(self, **_: object) -> None:
        with self._lock:
            self._in_task = False
            for connection in self._connections():
                connection.prev_recv = None  # nothing was read meanwhile: that is not the broker's silence

    def _beat(self, every_seconds: float) -> None:
        tick = Event()
        while not tick.wait(every_seconds):
            with self._lock:
                if self._in_task:
                    for connection in self._connections():
                        with suppress(OSError, *connection.connection_errors):  # the consumer will see for itself
                            connection.send_heartbeat()

    def _connections(self) -> Iterator[Any]:
        """Those of py-amqp: the one that consumes, and the one that sends events."""
        dispatcher = self._consumer.event_dispatcher
        for connection in (self._consumer.connection, dispatcher and dispatcher.connection):
            if connection and connection.connected:
                yield connection.connection
