"""The product's own Celery app, a task that runs until a test lets it go, and a command that hangs the consumer."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import structlog
from celery.worker.control import control_command

from app.tasks.celery_app import celery_app

log = structlog.get_logger(__name__)

TURN_SECONDS = 0.02


@celery_app.task(name="conformance.hold")
def hold(what: str, seconds: float) -> None:
    """Note the start, run for `seconds` or until the test says that `what` may end, note the end."""
    released = Path(os.environ["NOTES"]).parent / "released" / what
    _note("start", what)
    ends_at = time.monotonic() + seconds
    turn = threading.Event()
    while time.monotonic() < ends_at and not released.exists():
        turn.wait(TURN_SECONDS)
    _note("end", what)


@control_command(name="conformance_hang")
def hang(_state: Any, while_logging: bool = False) -> None:
    """Never give the thread of the consumer back, nor, if so asked, the lock of the logs."""
    log.warning("conformance hangs")
    if while_logging:
        for handler in logging.getLogger().handlers:
            handler.acquire()
    threading.Event().wait()


def _note(event: str, what: str) -> None:
    line = {"event": event, "what": what, "worker": os.environ["WORKER_NAME"], "pid": os.getpid(), "at": time.time()}
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(json.dumps(line) + "\n")
