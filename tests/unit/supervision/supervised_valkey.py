"""A program for tests: supervises a private Valkey and a process with a child of its own, until it is stopped."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from app.supervision.child_process import ChildSpec
from app.supervision.embedded_server import BROKER_OPTIONS, embedded_server
from app.supervision.run_state import only_supervisor
from app.supervision.supervisor import Supervisor


def main() -> None:
    data_dir = Path(sys.argv[1])
    with (
        only_supervisor(data_dir) as announce,
        embedded_server("broker", data_dir=data_dir, options=BROKER_OPTIONS) as server,
    ):
        announce("http://127.0.0.1:1", {})
        worker = ChildSpec(
            name="worker",
            command=("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"),
            environment={"PATH": os.defpath},
        )

        def ready() -> None:
            pids = [child.pid for child in supervisor.children]
            print(json.dumps({"url": server.url, "pids": pids}), flush=True)  # noqa: T201 — for the test that reads it

        supervisor = Supervisor(
            [[server.spec({"PATH": os.defpath})], [worker]],
            report=lambda name, line: print(name, line, file=sys.stderr, flush=True),  # noqa: T201
            on_ready=ready,
        )
        sys.exit(supervisor.run())


if __name__ == "__main__":
    main()
