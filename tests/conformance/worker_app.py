"""A stock Celery app configured from `broker_for` and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from app.settings import load_settings
from app.transports.registry import broker_for

app = Celery("conformance")
app.conf.update(broker_for(load_settings()).celery_config)
app.conf.worker_hijack_root_logger = False


@app.task(name="conformance.note")
def note(what: str) -> None:
    """Append one line to the file named by NOTES."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(what + "\n")


@app.task(name="conformance.fail")
def fail(what: str) -> None:
    """Fail for good."""
    raise ValueError(what)
