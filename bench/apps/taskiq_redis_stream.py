"""taskiq on Redis streams, the one of its Redis brokers that acknowledges; after the task, which is its default."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from taskiq_redis import RedisStreamBroker

from bench.apps import work

broker = RedisStreamBroker(os.environ["BENCH_BROKER"])
note = broker.task(work.note)


async def _publish(numbers: Iterable[int]) -> None:
    await broker.startup()
    for number in numbers:
        await note.kiq(number)
    await broker.shutdown()


def publish(numbers: Iterable[int]) -> None:
    asyncio.run(_publish(numbers))
