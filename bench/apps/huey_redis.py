"""huey on Redis. It has no acknowledgement: a task leaves the server before it runs, and is lost with its worker."""

from __future__ import annotations

import os
from collections.abc import Iterable

from huey import RedisHuey

from bench.apps import work

huey = RedisHuey("bench", url=os.environ["BENCH_BROKER"], results=False)
note = huey.task()(work.note)


def publish(numbers: Iterable[int]) -> None:
    for number in numbers:
        note(number)
