"""Redis cache: derived data kept for a while, never served once it is known to be old.

Reads never raise and never take longer than the deadline (50 ms by default, for the whole
operation): a cache that is down, slow, full or still loading is a cache that misses. Drops say
whether they surely happened, so that the caller can leave a durable invalidation when they did not.

What keeps an old value out:

- `get_or_compute` takes a *lease* before it computes. Every drop removes the lease, and without it
  the value is returned but not stored.
- `set(version=…)` is refused under a newer stored version and under the *tombstone* of a newer
  `invalidate`, both checked by the server in one step.
- `search_query:*` and the other families carry a random *generation*; dropping a family removes
  that mark, so every entry and every computation begun before is unreadable at once, in O(1).
- `get_or_compute(is_current=…, renewed=…)` asks the caller whether an entry still holds, or what has become of it,
  before it is given.

The cache server should not persist: an old snapshot would bring dropped entries back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import Event, Lock
from time import monotonic
from typing import Any, TypeVar, cast

from app.cache import keys
from app.cache.cache_server import CacheServer, Lease
from app.cache.entry import Hit, encode_value
from app.cache.fork import after_fork_in_child
from app.cache.link_pool import LinkPool
from app.cache.statistics import HITS, INVALIDATIONS, MISSES, CacheStats
from app.errors import CacheUnavailable
from app.settings import get_settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_LOOK_AGAIN_SECONDS = 0.001
LONGEST_LOOK_AGAIN_SECONDS = 0.02


class RedisCache:
    """Cache with default times to live, invalidation by pattern, and no stale writes. Thread-safe and fork-safe.

    `on_event(name, payload)`, if set, hears `cache.hit`, `cache.miss` and `cache.invalidated` in this process;
    `on_return()`, in a thread of its own, that a server that did not answer does again.
    """

    def __init__(self, *, url: str | None = None, deadline_seconds: float | None = None, namespace: str = "") -> None:
        self._given_url = url
        self._given_deadline = deadline_seconds
        self._names = keys.Keyspace(namespace=namespace)
        self._connected: CacheServer | None = None
        self._new_lock()
        after_fork_in_child(self._new_lock)
        self.stats = CacheStats(self._shared_counts)
        self.on_event: Callable[[str, dict[str, Any]], None] | None = None
        self.on_return: Callable[[], None] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """The cached value or `default`; use `lookup` where None is a value."""
        hit = self.lookup(key)
        return default if hit is None else hit.value

    def lookup(self, key: str) -> Hit | None:
        """The cached value and its version, or None."""
        try:
            hit = self._server().find(key, until=self._deadline())
        except CacheUnavailable:
            hit = None
        self._count_read(key, found=hit is not None)
        return hit

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], T],
        *,
        ttl: int | None = None,
        version: int | None = None,
        is_current: Callable[[T], bool] | None = None,
        renewed: Callable[[T], T | None] | None = None,
    ) -> T:
        """The cached value, or that of `compute`, which callers that come together run once.

        `version` is what the caller knows to be current: an older entry is a miss, and so is one that is not
        `is_current` (its time does not count for the deadline). `renewed` gives what is to be taken for an entry:
        itself, what has become of it, which then stands in its place, or None, a miss. Who loses the race waits for
        the winner's value within the deadline, then computes and stores nothing. A computed value is returned as it
        is, a cached one as JSON brings it back.
        """
        try:
            found = self._current_hit_or_lease(key, version=version, is_current=is_current, renewed=renewed)
        except CacheUnavailable:
            found = None
        self._count_read(key, found=isinstance(found, Hit))
        if isinstance(found, Hit):
            return cast("T", found.value)
        if found is None:
            return compute()
        return self._compute_and_store(key, compute, ttl=ttl, version=version, lease=found)

    def set(self, key: str, value: object, ttl: int | None = None, *, version: int | None = None) -> bool:
        """Store a JSON value for `ttl` seconds; whether it was stored.

        With a version, an older value never replaces a newer one nor comes back after
        `invalidate(key, newer)`. Without one the last writer wins.
        """
        return self._store(key, value, ttl=ttl, version=version, lease=None)

    def supersede(self, key: str, value: object, *, version: int) -> bool:
        """Put the value in the place of an older one; whether that is done. What nobody has asked for stays out.

        For keys whose readers know the version: they never take an older entry, whatever becomes of this.
        """
        return self._store(key, value, ttl=None, version=version, lease=None, is_only_over=True)

    def delete(self, key: str) -> bool:
        """Drop one entry; whether that is certain."""
        return self._drop({"key": key}, lambda server, until: server.drop(key, until=until))

    def invalidate(self, key: str, version: int) -> bool:
        """Drop one entry and refuse what is older than `version` from now on; whether that is certain."""
        payload = {"key": key, "version": version}
        return self._drop(payload, lambda server, until: server.drop_older(key, version=version, until=until))

    def delete_pattern(self, pattern: str, *, deadline_seconds: float | None = None) -> bool:
        """Drop what matches a glob (`\\` escapes, see `keys.escaped`); whether that is certain.

        A whole family (`search_query:*`) is one command. Any other glob is a walk over all keys,
        which on a big cache needs the time of a background task: give it `deadline_seconds`.
        """
        if keys.is_literal(pattern):
            return self.delete(pattern)
        if family := keys.whole_family(pattern):
            return self._drop({"pattern": pattern}, lambda server, until: server.drop_family(family, until=until))
        return self._drop(
            {"pattern": pattern},
            lambda server, until: server.drop_matching(pattern, until=until),
            deadline_seconds=deadline_seconds,
        )

    def delete_all(self, patterns: Iterable[str]) -> bool:
        """Drop entries and whole families in one round trip; whether that is certain. Any other glob has its own."""
        literal, families, others = [], [], []
        for pattern in patterns:
            if keys.is_literal(pattern):
                literal.append(pattern)
            elif family := keys.whole_family(pattern):
                families.append(family)
            else:
                others.append(pattern)
        done = True
        if named := [*literal, *(f"{family}*" for family in families)]:
            done = self._drop(
                {"keys": named},
                lambda server, until: server.drop_all(literal, families, until=until),
                count=len(named),
            )
        return all([done, *(self.delete_pattern(pattern) for pattern in others)])

    def get_default_ttl(self, key: str) -> int:
        """Seconds an entry of this kind lives: embedding 3600, quality 1800, resource 600, any other 300."""
        return keys.default_ttl_seconds(key)

    def close(self) -> None:
        """Send the last statistics and close every connection; the next use reads the settings again."""
        with self._connecting:
            server, self._connected = self._connected, None
        if server is not None:
            try:
                server.counts(until=self._deadline())
            except CacheUnavailable:
                logger.debug("last cache statistics not sent")
            server.close()

    def _current_hit_or_lease(
        self,
        key: str,
        *,
        version: int | None,
        is_current: Callable[[T], bool] | None,
        renewed: Callable[[T], T | None] | None,
    ) -> Hit | Lease | None:
        """`_hit_or_lease`, where a hit that holds no longer is none."""
        unwanted: Hit | None = None
        while True:
            found = self._hit_or_lease(key, version=version, unwanted=unwanted, until=self._deadline())
            if not isinstance(found, Hit):
                return found
            if is_current is None or is_current(found.value):
                value = found.value if renewed is None else renewed(found.value)
                if value is found.value:
                    return found
                if value is not None:
                    self._renew(key, found, value)
                    return replace(found, value=value)
            unwanted = found

    def _renew(self, key: str, found: Hit, value: object) -> None:
        """Put in the place of an entry what it has become, unless it was dropped meanwhile; best effort."""
        try:
            payload, ttl = encode_value(value), self.get_default_ttl(key)
            self._server().renew(key, payload, ttl_seconds=ttl, found=found, until=self._deadline())
        except CacheUnavailable:
            logger.debug("entry left as it was", extra={"key": key})

    def _hit_or_lease(self, key: str, *, version: int | None, unwanted: Hit | None, until: float) -> Hit | Lease | None:
        """What is cached, or the right to compute it, or None when another caller is still at it."""
        server = self._server()
        pause = FIRST_LOOK_AGAIN_SECONDS
        while True:
            found = server.find_or_lease(key, version=version, unwanted=unwanted, until=until)
            if found is not None:
                return found
            if monotonic() + 2 * pause >= until:
                return None
            Event().wait(pause)
            pause = min(2 * pause, LONGEST_LOOK_AGAIN_SECONDS)

    def _compute_and_store(
        self, key: str, compute: Callable[[], T], *, ttl: int | None, version: int | None, lease: Lease
    ) -> T:
        stored = False
        try:
            value = compute()
            stored = self._store(key, value, ttl=ttl, version=version, lease=lease)
        finally:
            if not stored:
                self._release(key, lease)
        return value

    def _store(
        self,
        key: str,
        value: object,
        *,
        ttl: int | None,
        version: int | None,
        lease: Lease | None,
        is_only_over: bool = False,
    ) -> bool:
        try:
            payload = encode_value(value)
        except ValueError:
            logger.exception("value cannot be cached", extra={"key": key})
            return False
        try:
            return self._server().store(
                key,
                payload,
                ttl_seconds=ttl or self.get_default_ttl(key),
                version=version,
                lease=lease,
                is_only_over=is_only_over,
                until=self._deadline(),
            )
        except CacheUnavailable:
            return False

    def _release(self, key: str, lease: Lease) -> None:
        try:
            self._server().release(key, lease, until=self._deadline())
        except CacheUnavailable:
            logger.debug("lease left to expire", extra={"key": key})

    def _drop(
        self,
        payload: dict[str, Any],
        act: Callable[[CacheServer, float], bool],
        *,
        count: int = 1,
        deadline_seconds: float | None = None,
    ) -> bool:
        try:
            done = act(self._server(), self._deadline(deadline_seconds))
        except CacheUnavailable:
            done = False
        if done:
            self.stats.record(INVALIDATIONS, count)
            self._tell("cache.invalidated", payload)
        return done

    def _count_read(self, key: str, *, found: bool) -> None:
        self.stats.record(HITS if found else MISSES)
        self._tell("cache.hit" if found else "cache.miss", {"key": key})

    def _tell(self, event: str, payload: dict[str, Any]) -> None:
        if self.on_event is None:
            return
        try:
            self.on_event(event, payload)
        except Exception:  # a listener must not break a read
            logger.exception("cache listener failed", extra={"event": event})

    def _returned(self) -> None:
        if self.on_return is None:
            return
        try:
            self.on_return()
        except Exception:  # nothing depends on it: what it hastens happens later by itself
            logger.exception("cache listener failed", extra={"event": "return"})

    def _new_lock(self) -> None:
        self._connecting = Lock()

    def _shared_counts(self) -> Mapping[str, int]:
        try:
            return self._server().counts(until=self._deadline())
        except CacheUnavailable:
            return {}

    def _deadline(self, seconds: float | None = None) -> float:
        return monotonic() + (seconds or self._patience())

    def _patience(self) -> float:
        return self._given_deadline or get_settings().cache_deadline_seconds

    def _server(self) -> CacheServer:
        with self._connecting:
            if self._connected is None:
                url = self._given_url or get_settings().cache
                pool = LinkPool(url, answers_within_seconds=self._patience(), on_return=self._returned)
                self._connected = CacheServer(pool=pool, names=self._names, stats=self.stats)
            return self._connected


cache = RedisCache()
"""The cache of this process; connects at its first use."""
