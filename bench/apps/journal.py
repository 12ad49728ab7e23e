"""Where a task says that it ran: one line of a file that all processes append to.

A line is `number moment pid`; the moment is of the machine's monotonic clock in nanoseconds, which all
processes share. It costs two microseconds where a counter on a server would cost a round trip.
"""

from __future__ import annotations

import os
import time
from functools import cache


@cache
def _file(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(number: int) -> None:
    """Append one line; lines this short are never torn."""
    os.write(_file(os.environ["BENCH_JOURNAL"]), b"%d %d %d\n" % (number, time.monotonic_ns(), os.getpid()))
