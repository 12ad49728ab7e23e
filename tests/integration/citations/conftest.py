"""A library on each database, and a shelf of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.services.library import Library
from tests.integration.citations.shelf import Shelf
from tests.integration.libraries import a_library


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        yield library


@pytest.fixture
def shelf(library: Library) -> Shelf:
    return Shelf(library)
