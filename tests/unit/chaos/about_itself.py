"""A program that says what it is, as one line of JSON; then it ends with the code it was given, or waits."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE)


def main() -> None:
    """See the module."""
    answer = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "is_leader": os.getsid(0) == os.getpid() == os.getpgid(0),
        "name": __name__,
        "arguments": sys.argv,
        "command": sys.orig_argv,
        "directory": str(Path.cwd()),
        "environment": dict(os.environ),
        "descriptors": sorted(one.name for one in Path("/proc/self/fd").iterdir() if one.exists()),
        "signals": {number.name: str(signal.getsignal(number)) for number in HANDLED},
    }
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    if len(sys.argv) > 1:
        sys.stderr.write("an error")
        raise SystemExit(int(sys.argv[1]))
    signal.pause()


if __name__ == "__main__":
    main()
