"""Celery as this project configures it, with its defaults, and publishing as its relay does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from celery import Celery
from kombu import Queue

from app.settings import load_settings
from app.transports.base import Message, Priority, Transport
from app.transports.registry import broker_for, open_transport
from bench.apps import work

settings = load_settings(broker_url=os.environ["BENCH_BROKER"])
config = dict(broker_for(settings).celery_config)
queues = [Queue.from_dict(name, **options) for name, options in config.pop("task_queues").items()]

deadline_seconds = settings.relay_publish_deadline_seconds

app = Celery("bench")
app.conf.update(config, task_queues=queues, task_ignore_result=True)
note = app.task(name="bench.note")(work.note)
hold = app.task(name="bench.hold")(work.hold)
reject = app.task(name="bench.reject")(work.reject)
retry = app.task(name="bench.retry")(work.retry)


@cache
def transport() -> Transport:
    opened = open_transport(settings.broker)
    opened.declare(deadline_seconds=deadline_seconds)
    return opened


def send(messages: Sequence[Message]) -> None:
    """In batches as large as the relay's; `RuntimeError` if one message was not accepted."""
    for first in range(0, len(messages), settings.relay_batch_size):
        batch = messages[first : first + settings.relay_batch_size]
        if not all(outcome.accepted for outcome in transport().publish(batch, deadline_seconds=deadline_seconds)):
            raise RuntimeError("a message was not accepted")


def message(task: str, number: int, *more: float, priority: int = Priority.MEDIUM) -> Message:
    call_id = f"bench-{number}"
    return Message(call_id=call_id, task=f"bench.{task}", args=(number, *more), queue="default", priority=priority)


def publish(numbers: Sequence[int]) -> None:
    send([message("note", number) for number in numbers])


def publish_hold(number: int, seconds: float) -> None:
    send([message("hold", number, seconds)])


def publish_rejected(number: int) -> None:
    send([message("reject", number)])


def publish_retried(number: int, seconds: float) -> None:
    send([message("retry", number, seconds)])


def publish_urgent(numbers: Sequence[int]) -> None:
    """The last digit of a number is its priority."""
    send([message("note", number, priority=number % 10) for number in numbers])
