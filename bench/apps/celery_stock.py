"""Celery on kombu's own transports, made as durable as its documents can.

Late acks and `task_reject_on_worker_lost` (userguide/tasks), publisher confirms on RabbitMQ (kombu's
`confirm_publish`), persistent messages (the default), results off. `visibility_timeout` stays at its
3600 s: the documents advise against less than the longest task.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from celery import Celery

from bench.apps import work

BROKER = os.environ["BENCH_BROKER"]

app = Celery("bench", broker=BROKER)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue="default",
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={"confirm_publish": True} if BROKER.startswith("amqp") else {},
)
note = app.task(name="bench.note")(work.note)
hold = app.task(name="bench.hold")(work.hold)
reject = app.task(name="bench.reject")(work.reject)
retry = app.task(name="bench.retry")(work.retry)


def publish(numbers: Iterable[int]) -> None:
    for number in numbers:
        note.apply_async((number,))


def publish_hold(number: int, seconds: float) -> None:
    hold.apply_async((number, seconds))


def publish_rejected(number: int) -> None:
    reject.apply_async((number,))


def publish_retried(number: int, seconds: float) -> None:
    retry.apply_async((number, seconds))


def publish_urgent(numbers: Iterable[int]) -> None:
    """The last digit of a number is its priority."""
    for number in numbers:
        note.apply_async((number,), priority=number % 10)
