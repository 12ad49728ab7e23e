"""A library whose tables the checker reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.chaos.planted import Planted
from tests.integration.libraries import a_library


@pytest.fixture
def planted(migrated_postgres_url: str, redis_url: str, cache_url: str) -> Iterator[Planted]:
    with a_library(database_url=migrated_postgres_url, cache_url=cache_url, broker_url=redis_url) as library:
        planted = Planted(library.database, migrated_postgres_url)
        yield planted
        planted.seen.tables.close()
