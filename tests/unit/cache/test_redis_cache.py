from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.cache import keys
from app.cache.redis_cache import RedisCache
from chaos.servers.redis import RedisServer
from tests.unit.cache.conftest import CacheMaker


@pytest.mark.usefixtures("cache_settings")
def test_cache_get_set() -> None:
    cache = RedisCache()
    cache.set("test:key", {"value": 123})
    result = cache.get("test:key")
    assert result == {"value": 123}
    cache.close()


@pytest.mark.usefixtures("cache_settings")
def test_cache_pattern_invalidation() -> None:
    cache = RedisCache()
    cache.set("search_query:abc", {"results": []})
    cache.set("search_query:def", {"results": []})
    cache.delete_pattern("search_query:*")

    assert cache.get("search_query:abc") is None
    assert cache.get("search_query:def") is None
    cache.close()


def test_a_cached_none_is_told_from_a_missing_value(cache: RedisCache) -> None:
    cache.set("resource:1", None)

    hit = cache.lookup("resource:1")

    assert hit is not None
    assert hit.value is None
    assert cache.lookup("resource:2") is None
    assert cache.get("resource:1", "default") is None
    assert cache.get("resource:2", "default") == "default"


@pytest.mark.parametrize(
    ("key", "seconds"),
    [
        ("embedding:1", 3600),
        ("quality:1", 1800),
        ("search_query:abc", 300),
        ("resource:1", 600),
        ("graph:neighbors:1", 300),
        ("recommendations:1", 300),
        ("anything", 300),
    ],
)
def test_an_entry_lives_as_long_as_its_kind(cache: RedisCache, server: RedisServer, key: str, seconds: int) -> None:
    cache.set(key, 1)

    with server.client() as client:
        assert seconds - 5 <= client.ttl(key) <= seconds
    assert cache.get_default_ttl(key) == seconds


def test_a_given_time_to_live_is_kept(cache: RedisCache, server: RedisServer) -> None:
    cache.set("resource:1", 1, ttl=7)

    with server.client() as client:
        assert 1 <= client.ttl("resource:1") <= 7


def test_values_come_back_as_their_json_form(cache: RedisCache) -> None:
    identity, moment = UUID(int=7), datetime(2024, 5, 6, tzinfo=UTC)

    cache.set("resource:1", {"id": identity, "at": moment, "tags": ("a", "b"), "text": "naïve \0 ✓ 𝄞", "n": 1.5})

    assert cache.get("resource:1") == {
        "id": str(identity),
        "at": "2024-05-06T00:00:00Z",
        "tags": ["a", "b"],
        "text": "naïve \0 ✓ 𝄞",
        "n": 1.5,
    }


def test_a_value_that_json_cannot_hold_is_not_stored(cache: RedisCache) -> None:
    assert cache.set("resource:1", object()) is False
    assert cache.lookup("resource:1") is None


@pytest.mark.parametrize("damage", [b"", b"garbage", b"one two", b"\xff\xfe\x00", b"{}"])
def test_a_damaged_entry_is_a_miss_and_removed(cache: RedisCache, server: RedisServer, damage: bytes) -> None:
    cache.set("resource:0", 1)
    with server.client() as client:
        client.set("resource:1", damage)

        assert cache.lookup("resource:1") is None
        assert client.exists("resource:1") == 0


def test_damaged_json_in_a_whole_envelope_is_a_miss_and_removed(cache: RedisCache, server: RedisServer) -> None:
    cache.set("resource:1", [1, 2, 3])
    with server.client() as client:
        raw = client.get("resource:1")
        assert isinstance(raw, bytes)
        client.set("resource:1", raw[:-2])

        assert cache.lookup("resource:1") is None
        assert client.exists("resource:1") == 0


def test_a_deleted_entry_is_gone(cache: RedisCache) -> None:
    cache.set("resource:1", 1)

    assert cache.delete("resource:1") is True
    assert cache.lookup("resource:1") is None


def test_a_glob_drops_what_it_matches_and_nothing_else(cache: RedisCache) -> None:
    for number in range(1200):
        cache.set(f"resource:a{number}", number)
    cache.set("resource:b1", "kept")
    cache.set("quality:a1", "kept")

    assert cache.delete_pattern("resource:a*") is True

    assert [cache.get(f"resource:a{number}") for number in (0, 500, 1199)] == [None, None, None]
    assert cache.get("resource:b1") == "kept"
    assert cache.get("quality:a1") == "kept"


def test_glob_characters_of_an_id_are_literal_when_escaped(cache: RedisCache) -> None:
    cache.set("resource:[x]*1", "dropped")
    cache.set("resource:x51", "kept")

    assert cache.delete_pattern(f"resource:{keys.escaped('[x]*')}*") is True

    assert cache.lookup("resource:[x]*1") is None
    assert cache.get("resource:x51") == "kept"


def test_dropping_everything_spares_strangers_statistics_and_tombstones(cache: RedisCache, server: RedisServer) -> None:
    for key in ("resource:1", "quality:1", "graph:neighbors:1"):
        cache.set(key, 1)
    cache.invalidate("resource:2", 7)
    with server.client() as client:
        client.lpush("default", "a message of a broker on the same server")

        assert cache.delete_pattern("*") is True

        assert client.llen("default") == 1
        assert client.exists("resource:1", "quality:1", "graph:neighbors:1") == 0
    assert cache.set("resource:2", "old", version=6) is False
    assert cache.stats.invalidations == 2


def test_namespaces_on_one_server_do_not_meet(server: RedisServer, make_cache: CacheMaker) -> None:
    one, other = (make_cache(url=server.url, namespace=name) for name in ("*", "other"))
    one.set("resource:1", "one")
    other.set("resource:1", "other")

    assert one.delete_pattern("resource:1*") is True
    assert one.delete_pattern("resource:*") is True

    assert one.lookup("resource:1") is None
    assert other.get("resource:1") == "other"


def test_statistics_go_on_when_somebody_empties_the_server(cache: RedisCache, server: RedisServer) -> None:
    for _ in range(3):
        cache.lookup("resource:1")
    assert cache.stats.misses == 3
    with server.client() as client:
        client.flushall()

    cache.lookup("resource:1")
    assert cache.stats.misses == 3  # as if nothing had been counted since
    for _ in range(5):
        cache.lookup("resource:1")

    assert cache.stats.misses == 8


def test_statistics_are_shared_between_clients(server: RedisServer, make_cache: CacheMaker) -> None:
    one, other = make_cache(url=server.url), make_cache(url=server.url)
    one.set("resource:1", 1)
    one.get("resource:1")
    other.get("resource:1")
    other.get("resource:2")
    one.delete("resource:1")
    for each in (one, other):
        each.get("resource:1")

    one.close()

    assert (other.stats.hits, other.stats.misses, other.stats.invalidations) == (2, 3, 1)
    assert other.stats.hit_rate() == pytest.approx(2 / 5)


def test_the_hit_rate_of_an_unused_cache_is_zero(cache: RedisCache) -> None:
    assert cache.stats.hit_rate() == 0.0


def test_a_read_costs_one_round_trip_statistics_included(cache: RedisCache, server: RedisServer) -> None:
    cache.set("resource:1", 1)
    with server.client() as client:
        before = client.info("stats")["total_commands_processed"]
        for _ in range(10):
            cache.get("resource:1")
        after = client.info("stats")["total_commands_processed"]

    assert after - before <= 10 * 2 + 1  # MGET and HINCRBY in one write each time, and the INFO itself


def test_many_entries_and_a_family_are_dropped_in_one_round_trip(cache: RedisCache, server: RedisServer) -> None:
    for key in ("resource:1", "quality:1", "search_query:a", "embedding:12", "resource:2"):
        cache.set(key, 1)
    with server.client() as client:
        client.config_resetstat()
        assert cache.delete_all(["resource:1", "quality:1", "search_query:*"])
        unlinks = client.info("commandstats")["cmdstat_unlink"]["calls"]

    assert [key for key in ("resource:1", "quality:1", "search_query:a") if cache.lookup(key)] == []
    assert unlinks == 1
    assert cache.delete_all(["resource:2", "embedding:1*"])
    assert [key for key in ("resource:2", "embedding:12") if cache.lookup(key)] == []


def test_dropping_nothing_is_done_at_once(cache: RedisCache) -> None:
    assert cache.delete_all([]) is True


def test_listeners_hear_hits_misses_and_invalidations(cache: RedisCache) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    cache.on_event = lambda name, payload: heard.append((name, payload))

    cache.get("resource:1")
    cache.set("resource:1", 1)
    cache.get("resource:1")
    cache.delete("resource:1")
    cache.delete_pattern("search_query:*")
    cache.delete_all(["resource:1", "search_query:*"])

    assert heard == [
        ("cache.miss", {"key": "resource:1"}),
        ("cache.hit", {"key": "resource:1"}),
        ("cache.invalidated", {"key": "resource:1"}),
        ("cache.invalidated", {"pattern": "search_query:*"}),
        ("cache.invalidated", {"keys": ["resource:1", "search_query:*"]}),
    ]


def test_a_failing_listener_does_not_break_a_read(cache: RedisCache) -> None:
    def fail(_name: str, _payload: dict[str, Any]) -> None:
        raise RuntimeError("listener")

    cache.set("resource:1", 1)
    cache.on_event = fail

    assert cache.get("resource:1") == 1


def test_one_hash_for_one_search_whatever_the_order_of_its_fields() -> None:
    first = keys.search_query_key({"text": "a", "limit": 10})

    assert first == keys.search_query_key({"limit": 10, "text": "a"})
    assert first != keys.search_query_key({"limit": 11, "text": "a"})
    assert first.startswith("search_query:")
