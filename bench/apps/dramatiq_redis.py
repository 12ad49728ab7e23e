"""dramatiq on Redis with its defaults: messages are acknowledged after the actor, lost ones return after 60 s."""

from __future__ import annotations

import os
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.apps import work

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_BROKER"]))
note = dramatiq.actor(work.note)


def publish(numbers: Iterable[int]) -> None:
    for number in numbers:
        note.send(number)
