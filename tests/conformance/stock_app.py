"""A stock Celery app on stock kombu, as docs/deployment.md advises for draining a queue of ours."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

app = Celery("stock", broker=os.environ["BROKER_URL"])
app.conf.update(
    broker_transport_options={"priority_steps": list(range(10))},
    task_default_queue="default",
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
)


@app.task(name="conformance.note")
def note(what: str) -> None:
    """Append one line to the file named by NOTES."""
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(what + "\n")
