"""Workers that read documents load the model of languages before they fork, and no others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from celery import Celery
from celery.signals import celeryd_after_setup

from app.content import language
from app.tasks import document_readers


@dataclass(frozen=True)
class Worker:
    """What Celery says of a worker once it is set up."""

    app: Any


@pytest.mark.parametrize(("queues", "loaded"), [(["default", "ingest"], 1), (["ml_tasks"], 0)])
def test_the_model_is_loaded_by_workers_that_read_documents_only(queues: list[str], loaded: int) -> None:
    app = Celery("probe", set_as_current=False)
    app.amqp.queues.select(queues)
    document_readers.prepare_workers()
    language._identifier.cache_clear()

    celeryd_after_setup.send(sender="worker@here", instance=Worker(app), conf=app.conf)

    assert language._identifier.cache_info().currsize == loaded
