"""dramatiq on RabbitMQ with `confirm_delivery`, its parameter for publisher confirms; late acks are its default."""

from __future__ import annotations

import os
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from bench.apps import work

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BENCH_BROKER"], confirm_delivery=True))
note = dramatiq.actor(work.note)


def publish(numbers: Iterable[int]) -> None:
    for number in numbers:
        note.send(number)
