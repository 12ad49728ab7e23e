"""`… MODULE FIRST COUNT SEED`: publish no-ops one at a time with pauses; the moment before each in seconds, as JSON."""

from __future__ import annotations

import importlib
import json
import random
import sys
import time
from threading import Event

PAUSE_SECONDS = (0.15, 0.3)


def main(module: str, first: str, count: str, seed: str) -> None:
    system, pauses = importlib.import_module(module), random.Random(seed)
    system.publish([-1])  # opens the connection
    moments = []
    for number in range(int(first), int(first) + int(count)):
        Event().wait(pauses.uniform(*PAUSE_SECONDS))
        moments.append(time.monotonic_ns() / 1e9)
        system.publish([number])
    print(json.dumps(moments))


if __name__ == "__main__":
    main(*sys.argv[1:])
