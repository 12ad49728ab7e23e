"""An old value never comes back: version-checked set, tombstones, leases, generations."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Event
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache import cache_server
from app.cache.redis_cache import RedisCache
from chaos.servers.redis import RedisServer
from tests.unit.cache.conftest import CacheMaker

Drop = Callable[[RedisCache], bool]

DROPS: list[Drop] = [
    lambda cache: cache.delete("search_query:a"),
    lambda cache: cache.invalidate("search_query:a", 2),
    lambda cache: cache.delete_pattern("search_query:*"),
    lambda cache: cache.delete_pattern("search_query:a*"),
    lambda cache: cache.delete_pattern("*"),
    lambda cache: cache.delete_all(["search_query:a"]),
    lambda cache: cache.delete_all(["resource:1", "search_query:*"]),
]
DROP_NAMES = ["delete", "invalidate", "family", "glob", "everything", "all-key", "all-family"]


def test_an_older_version_does_not_replace_a_newer_one(cache: RedisCache) -> None:
    assert cache.set("resource:1", "new", version=7) is True

    assert cache.set("resource:1", "old", version=6) is False

    hit = cache.lookup("resource:1")
    assert hit is not None
    assert (hit.value, hit.version) == ("new", 7)


@pytest.mark.parametrize("version", [7, 8])
def test_the_same_and_newer_versions_replace(cache: RedisCache, version: int) -> None:
    cache.set("resource:1", "first", version=7)

    assert cache.set("resource:1", "second", version=version) is True
    assert cache.get("resource:1") == "second"


def test_a_value_older_than_the_last_invalidation_is_not_cached_again(cache: RedisCache) -> None:
    cache.set("resource:1", "old", version=6)
    assert cache.invalidate("resource:1", 7) is True

    assert cache.set("resource:1", "old", version=6) is False
    assert cache.lookup("resource:1") is None
    assert cache.set("resource:1", "new", version=7) is True


def test_an_older_invalidation_does_not_lower_the_bar(cache: RedisCache) -> None:
    cache.invalidate("resource:1", 2**53 - 1)
    cache.invalidate("resource:1", 3)

    assert cache.set("resource:1", "old", version=4) is False


def test_a_tombstone_does_not_stay_for_ever(cache: RedisCache, server: RedisServer) -> None:
    cache.invalidate("resource:1", 7)

    with server.client() as client:
        assert 0 < client.ttl("cache:tombstone:resource:1") <= cache_server.TOMBSTONE_SECONDS


@pytest.mark.parametrize("drop", DROPS, ids=DROP_NAMES)
def test_a_value_computed_before_a_drop_is_not_cached_after_it(cache: RedisCache, drop: Drop) -> None:
    def compute() -> str:
        assert drop(cache)
        return "from before"

    assert cache.get_or_compute("search_query:a", compute) == "from before"

    assert cache.lookup("search_query:a") is None
    assert cache.get_or_compute("search_query:a", lambda: "from after") == "from after"
    assert cache.get("search_query:a") == "from after"


def test_a_value_computed_across_a_flush_is_not_cached(cache: RedisCache, server: RedisServer) -> None:
    def compute() -> int:
        with server.client() as client:
            client.flushall()
        return 1

    cache.get_or_compute("resource:1", compute, version=1)

    assert cache.lookup("resource:1") is None


def test_an_evicted_generation_does_not_bring_dropped_entries_back(cache: RedisCache, server: RedisServer) -> None:
    cache.set("search_query:a", "old")
    cache.delete_pattern("search_query:*")
    cache.set("search_query:b", "new")
    with server.client() as client:
        client.delete("cache:generation:search_query:")

    assert cache.lookup("search_query:a") is None
    assert cache.lookup("search_query:b") is None
    cache.set("search_query:c", "newest")
    assert cache.lookup("search_query:a") is None


def test_an_entry_older_than_the_reader_knows_is_computed_again(cache: RedisCache) -> None:
    cache.set("resource:1", "old", version=6)

    assert cache.get_or_compute("resource:1", lambda: "new", version=7) == "new"
    assert cache.get_or_compute("resource:1", lambda: "unused", version=7) == "new"


@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["set", "invalidate", "delete"]), st.integers(0, 5)), min_size=1, max_size=12
    )
)
def test_no_order_of_writes_and_invalidations_shows_an_older_version(
    redis_server: RedisServer, steps: list[tuple[str, int]]
) -> None:
    with closing(RedisCache(url=redis_server.url, deadline_seconds=10, namespace=str(uuid4()))) as cache:
        stored: int | None = None
        invalidated = -1
        for step, version in steps:
            if step == "set":
                allowed = version >= max(invalidated, -1 if stored is None else stored)
                assert cache.set("resource:1", version, version=version) is allowed
                stored = version if allowed else stored
            elif step == "invalidate":
                assert cache.invalidate("resource:1", version)
                stored, invalidated = None, max(invalidated, version)
            else:
                assert cache.delete("resource:1")
                stored = None
            assert cache.get("resource:1") == stored


def test_racing_writers_and_invalidations_leave_the_newest_or_nothing(
    server: RedisServer, make_cache: CacheMaker
) -> None:
    cache = make_cache(url=server.url)
    seed = random.randrange(2**32)
    versions = list(range(1, 41))
    random.Random(seed).shuffle(versions)
    start = Barrier(8)

    def work(lane: int) -> None:
        start.wait(timeout=10)
        for version in versions[lane::8]:
            cache.invalidate("resource:1", version)
            cache.set("resource:1", version, version=version)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert cache.get("resource:1") in (None, 40), f"seed {seed}"  # a late invalidation drops even the newest
    assert cache.set("resource:1", 39, version=39) is False
    assert cache.set("resource:1", 40, version=40) is True


def test_twenty_threads_compute_once(server: RedisServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=server.url)
    start, computing = Barrier(20), []

    def compute() -> str:
        computing.append(1)
        Event().wait(0.05)
        return "value"

    def ask(_number: int) -> str:
        start.wait(timeout=10)
        return cache.get_or_compute("quality:1", compute)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))

    assert answers == ["value"] * 20
    assert len(computing) == 1
    assert (cache.stats.hits, cache.stats.misses) == (19, 1)


def test_who_waited_for_the_whole_deadline_computes_for_itself(server: RedisServer, make_cache: CacheMaker) -> None:
    slow, impatient = make_cache(url=server.url), make_cache(url=server.url, deadline_seconds=0.3)
    computing, finish = Event(), Event()

    def compute() -> str:
        computing.set()
        assert finish.wait(timeout=10)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(slow.get_or_compute, "quality:1", compute)
        assert computing.wait(timeout=10)
        assert impatient.get_or_compute("quality:1", lambda: "own") == "own"
        finish.set()
        assert pending.result(timeout=10) == "slow"

    assert slow.get("quality:1") == "slow"


def test_who_lost_its_lease_does_not_take_away_the_next_one(cache: RedisCache) -> None:
    second_began, first_is_over = Event(), Event()

    def second() -> str:
        second_began.set()
        assert first_is_over.wait(timeout=10)
        return "second"

    with ThreadPoolExecutor(1) as pool:

        def first() -> str:
            cache.delete("resource:1")
            pool.submit(cache.get_or_compute, "resource:1", second)
            assert second_began.wait(timeout=10)
            return "first"

        assert cache.get_or_compute("resource:1", first) == "first"
        first_is_over.set()

    assert cache.get("resource:1") == "second"


def test_a_failed_computation_lets_the_next_caller_compute(cache: RedisCache) -> None:
    def fail() -> str:
        raise LookupError("no such resource")

    with pytest.raises(LookupError):
        cache.get_or_compute("resource:1", fail)

    assert cache.get_or_compute("resource:1", lambda: "value") == "value"
    assert cache.get("resource:1") == "value"


def test_a_computed_none_is_cached(cache: RedisCache) -> None:
    calls: list[int] = []

    for _ in range(2):
        assert cache.get_or_compute("resource:1", lambda: calls.append(1)) is None

    assert len(calls) == 1


def test_an_entry_that_holds_no_longer_is_a_miss_and_its_successor_is_kept(cache: RedisCache) -> None:
    cache.set("search_query:a", "old")
    cache.set("search_query:b", "other")

    def holds(value: str) -> bool:
        return value != "old"

    assert cache.get_or_compute("search_query:a", lambda: "new", is_current=holds) == "new"
    assert cache.get_or_compute("search_query:a", lambda: "unused", is_current=holds) == "new"
    assert cache.get("search_query:b") == "other"
    assert (cache.stats.hits, cache.stats.misses) == (2, 1)


def test_what_an_entry_has_become_stands_in_its_place(cache: RedisCache) -> None:
    cache.set("search_query:a", 1)

    assert cache.get_or_compute("search_query:a", lambda: 0, renewed=lambda value: value + 1) == 2
    assert cache.get_or_compute("search_query:a", lambda: 0, renewed=lambda value: value) == 2
    assert cache.get_or_compute("search_query:a", lambda: 9, renewed=lambda _value: None) == 9
    assert cache.get("search_query:a") == 9
    assert (cache.stats.hits, cache.stats.misses) == (3, 1)


@pytest.mark.parametrize("drop", [DROPS[0], DROPS[2], DROPS[3], DROPS[4]], ids=["delete", "family", "glob", "all"])
def test_what_was_made_of_an_entry_before_a_drop_is_not_cached_after_it(cache: RedisCache, drop: Drop) -> None:
    cache.set("search_query:a", "old")

    def renewed(value: str) -> str:
        assert drop(cache)
        return f"{value}, renewed"

    assert cache.get_or_compute("search_query:a", lambda: "computed", renewed=renewed) == "old, renewed"
    assert cache.lookup("search_query:a") is None


def test_what_was_made_of_an_entry_before_a_drop_does_not_replace_what_came_after_it(cache: RedisCache) -> None:
    cache.set("search_query:a", "old")

    def renewed(value: str) -> str:
        cache.delete_pattern("search_query:*")
        cache.set("search_query:a", "new")
        return f"{value}, renewed"

    cache.get_or_compute("search_query:a", lambda: "computed", renewed=renewed)
    assert cache.get("search_query:a") == "new"


def test_who_finds_an_old_entry_waits_for_whoever_replaces_it(server: RedisServer, make_cache: CacheMaker) -> None:
    cache = make_cache(url=server.url)
    cache.set("search_query:a", 0)
    start, computing = Barrier(12), []

    def compute() -> int:
        computing.append(1)
        Event().wait(0.05)
        return 1

    def ask(_number: int) -> int:
        start.wait(timeout=10)
        return cache.get_or_compute("search_query:a", compute, is_current=lambda value: value == 1)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))

    assert answers == [1] * 12
    assert len(computing) == 1
    assert (cache.stats.hits, cache.stats.misses) == (11, 1)


def test_a_check_that_takes_longer_than_the_deadline_keeps_nothing_out(
    server: RedisServer, make_cache: CacheMaker
) -> None:
    cache = make_cache(url=server.url, deadline_seconds=0.5)
    cache.set("search_query:a", "old")

    def slowly(value: str) -> bool:
        Event().wait(0.6)
        return value == "new"

    assert cache.get_or_compute("search_query:a", lambda: "new", is_current=slowly) == "new"
    assert cache.get("search_query:a") == "new"


def test_a_drop_while_the_successor_is_computed_keeps_it_out(cache: RedisCache) -> None:
    cache.set("search_query:a", "old")

    def compute() -> str:
        assert cache.delete_all(["search_query:*"])
        return "from before the drop"

    assert cache.get_or_compute("search_query:a", compute, is_current=lambda _value: False) == "from before the drop"
    assert cache.lookup("search_query:a") is None


def test_a_newer_value_stands_where_an_older_one_was(cache: RedisCache) -> None:
    cache.set("resource:1", "old", version=6)

    assert cache.supersede("resource:1", "new", version=7) is True
    assert cache.supersede("resource:1", "late", version=6) is False

    assert cache.get_or_compute("resource:1", lambda: "unused", version=7) == "new"


def test_what_nobody_has_asked_for_is_not_put_into_the_cache(cache: RedisCache) -> None:
    assert cache.supersede("resource:1", "new", version=7) is False
    assert cache.lookup("resource:1") is None

    cache.set("resource:1", "old", version=6)
    cache.delete_pattern("resource:*")
    assert cache.supersede("resource:1", "new", version=7) is False
    assert cache.lookup("resource:1") is None


def test_an_older_computation_does_not_replace_what_has_superseded_it(cache: RedisCache) -> None:
    cache.set("resource:1", "oldest", version=5)

    def compute() -> str:
        assert cache.supersede("resource:1", "new", version=7)
        return "old"

    assert cache.get_or_compute("resource:1", compute, version=6) == "old"
    assert cache.get_or_compute("resource:1", lambda: "unused", version=7) == "new"
