"""`… MODULE COUNT`: publish COUNT no-ops as MODULE does it; the seconds that took, as JSON."""

from __future__ import annotations

import importlib
import json
import sys
import time


def main(module: str, count: str) -> None:
    system = importlib.import_module(module)
    system.publish(range(-1, 0))  # opens the connection, declares the queue
    began = time.perf_counter()
    system.publish(range(int(count)))
    print(json.dumps({"seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
