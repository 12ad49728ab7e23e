"""The tasks of this process run over a library of the test, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.services.library import Library
from app.tasks.database_task import work_over
from tests.integration.libraries import a_library
from tests.integration.tasks.delivery import Outbox
from tests.integration.tasks.graveyard import Graveyard, a_graveyard


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(
        database_url=migrated_url, cache_url=cache_url, retry_first_delay_seconds=4, retry_max_delay_seconds=600
    ) as library:
        work_over(library)
        yield library
        work_over(None)


@pytest.fixture
def impatient(library: Library) -> Library:
    """The same, whose tasks are given a second: they wait for each other a quarter of it."""
    library = replace(library, settings=library.settings.model_copy(update={"task_soft_time_limit_seconds": 1}))
    work_over(library)
    return library


@pytest.fixture
def outbox(library: Library) -> Outbox:
    return Outbox(library)


@pytest.fixture(params=["redis", "rabbitmq"])
def graveyard(request: pytest.FixtureRequest) -> Iterator[Graveyard]:
    """An empty broker of each kind."""
    with a_graveyard(
        request.getfixturevalue("rabbit_url" if request.param == "rabbitmq" else "redis_url")
    ) as graveyard:
        yield graveyard
