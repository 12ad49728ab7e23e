"""A library on each database, whose embedder finds texts near that share words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.services.library import Library
from tests.integration.classification.shelf import Shelf, few_codes
from tests.integration.libraries import a_library


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(
        database_url=migrated_url, cache_url=cache_url, classification_min_labels=30, classification_max_labels=100
    ) as library:
        few_codes(library)
        yield library


@pytest.fixture
def shelf(library: Library) -> Shelf:
    return Shelf(library)
