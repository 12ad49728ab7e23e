from __future__ import annotations

from collections.abc import Mapping

from app.cache.statistics import HITS, CacheStats


def test_counts_do_not_go_back_while_some_are_on_their_way_to_the_cache() -> None:
    stats = CacheStats(lambda: {"hits": 10, "misses": 0, "invalidations": 0})
    stats.record(HITS, 5)
    assert stats.hits == 15

    stats.take_unsent()

    assert stats.hits == 15


def test_counts_do_not_go_back_when_the_connection_that_carries_them_breaks() -> None:
    def fetch() -> Mapping[str, int]:
        if is_broken:
            stats.take_unsent()
        return {}

    is_broken = False
    stats = CacheStats(fetch)
    stats.record(HITS, 5)
    assert stats.hits == 5

    is_broken = True

    assert stats.hits == 5
