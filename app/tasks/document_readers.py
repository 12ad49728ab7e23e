"""Document readers: workers of the queue `ingest` load the model of languages once, before they fork.

Else each process of the pool loads its own with its first document, also the one that takes the place of a killed one:
1.5 s of a core and 70 MB, and a worker whose processes all do so at once starts nothing meanwhile.
"""

from __future__ import annotations

from typing import Any

from celery.signals import celeryd_after_setup

from app.content import language

QUEUE = "ingest"


def prepare_workers() -> None:
    """From now on a worker loads it as soon as it knows its queues."""
    celeryd_after_setup.connect(_prepare, weak=False)


def _prepare(instance: Any, **_: object) -> None:
    if QUEUE in instance.app.amqp.queues.consume_from:
        language.load()
