"""Cache warming: the hottest resources are in the cache before anyone asks, and nothing else is done."""

from __future__ import annotations

import threading

import pytest

from app.services import cache_warming, resources
from app.services.library import Library
from tests.integration.recommendations.conftest import Readers

pytestmark = pytest.mark.integration


def test_the_hottest_are_cached_so_many_and_for_so_long_as_is_allowed(library: Library, readers: Readers) -> None:
    cold, warm, hot, gone = (readers.document(f"Document {name}.") for name in ("cold", "warm", "hot", "gone"))
    for times, one in enumerate((cold, warm, hot, gone)):
        for _ in range(times):
            readers.act(one)
    resources.delete(library, gone)
    go_on, stop = threading.Event(), threading.Event()
    stop.set()

    assert cache_warming.warm(library, most=3, stopping=stop) == 0
    assert cache_warming.warm(library, most=3, stopping=go_on, budget_seconds=0) == 0
    assert library.cache.get(f"resource:{hot}") is None

    assert cache_warming.warm(library, most=2, stopping=go_on) == 1  # the hottest of the two is deleted
    assert [library.cache.get(f"resource:{one}") is not None for one in (cold, warm, hot)] == [False, False, True]
    assert library.cache.get(f"quality:{hot}")["overall"] > 0
    misses = library.cache.stats.misses
    cache_warming.warm(library, most=2, stopping=go_on)
    assert library.cache.stats.misses == misses


def test_a_library_without_readers_has_nothing_to_warm(library: Library, readers: Readers) -> None:
    readers.document("Nobody reads this.")

    assert cache_warming.warm(library, most=100, stopping=threading.Event()) == 0
