"""rq on Redis with its default worker: a process forked for each job, so that a crash costs that job only."""

from __future__ import annotations

import os
from collections.abc import Iterable

from redis import Redis
from rq import Queue

from bench.apps import work

queue = Queue("default", connection=Redis.from_url(os.environ["BENCH_BROKER"]))


def publish(numbers: Iterable[int]) -> None:
    for number in numbers:
        queue.enqueue(work.note, number, result_ttl=0)
