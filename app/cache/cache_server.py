"""Cache server: what the cache says to Redis or Valkey, each in one round trip.

Every method takes `until`, a value of `monotonic()`, and raises `CacheUnavailable` when the answer
did not come by then.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from app.cache import scripts
from app.cache.entry import UNVERSIONED, Hit, decode_entry
from app.cache.keys import Keyspace, family_of
from app.cache.link import LINK_ERRORS, Command
from app.cache.link_pool import LinkPool
from app.cache.statistics import COUNTERS, CacheStats
from app.errors import CacheUnavailable

LEASE_SECONDS = 30
"""How long one caller may compute; a value that took longer is returned but not stored."""
TOMBSTONE_SECONDS = 660
"""A little more than the longest task (`TASK_TIME_LIMIT_SECONDS` 600): a writer that began before is over."""
SCAN_BATCH = 500
NOT_READY = frozenset({"LOADING", "BUSY", "MASTERDOWN", "NOAUTH"})
"""First words of replies by which the server says that it serves no one now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to compute one key's value and store it, until anyone drops the key."""

    token: str
    generation: bytes


class CacheServer:
    """Commands on one namespace of one server; thread-safe and fork-safe."""

    def __init__(self, *, pool: LinkPool, names: Keyspace, stats: CacheStats) -> None:
        self._pool = pool
        self._names = names
        self._stats = stats

    def close(self) -> None:
        """Close every link."""
        self._pool.close()

    def find(self, key: str, *, until: float) -> Hit | None:
        """The entry, unless it is missing, dropped with its family, or damaged (then it is removed)."""
        names = (self._names.value(key), self._names.generation(family_of(key)))
        found = self._one("MGET", *names, until=until)
        raw, generation = found if isinstance(found, list) else (None, None)
        return None if raw is None else self._decoded(key, raw, generation, until=until)

    def find_or_lease(
        self, key: str, *, version: int | None, until: float, unwanted: Hit | None = None
    ) -> Hit | Lease | None:
        """The entry if it is at least `version`, else the lease, or None while another caller holds that.

        An entry that is just the `unwanted` one is as good as none, and stays until another is stored over it.
        """
        token = _mark()
        unlike = "" if unwanted is None else hashlib.sha1(unwanted.raw, usedforsecurity=False).hexdigest()
        reply = self._script(
            scripts.VALUE_OR_LEASE,
            [self._names.value(key), self._names.lease(key), self._names.generation(family_of(key))],
            [token, LEASE_SECONDS * 1000, _mark(), UNVERSIONED if version is None else version, unlike],
            until=until,
        )
        if not isinstance(reply, list):
            raise CacheUnavailable(f"no lease: {reply}")
        generation, outcome, *raw = reply
        if raw:
            return self._decoded(key, raw[0], generation, until=until)
        return Lease(token=token, generation=generation) if outcome == b"lease" else None

    def store(
        self,
        key: str,
        payload: bytes,
        *,
        ttl_seconds: int,
        version: int | None,
        lease: Lease | None,
        until: float,
        is_only_over: bool = False,
    ) -> bool:
        """Whether the value is in the cache now; see `scripts.STORE` for when it is refused."""
        names = self._names
        reply = self._script(
            scripts.STORE,
            [names.value(key), names.tombstone(key), names.generation(family_of(key)), names.lease(key)],
            [
                payload,
                UNVERSIONED if version is None else version,
                ttl_seconds * 1000,
                _mark(),
                lease.generation if lease else "",
                lease.token if lease else "",
                "another" if is_only_over else "",
            ],
            until=until,
        )
        return reply == 1

    def renew(self, key: str, payload: bytes, *, ttl_seconds: int, found: Hit, until: float) -> bool:
        """Store in the place of that entry; not if its family, or whatever stands there, was dropped since."""
        lease = Lease(token="", generation=found.raw.split(b" ", 1)[0])
        return self.store(
            key, payload, ttl_seconds=ttl_seconds, version=None, lease=lease, is_only_over=True, until=until
        )

    def release(self, key: str, lease: Lease, *, until: float) -> None:
        """Let another caller compute."""
        self._script(scripts.RELEASE, [self._names.lease(key)], [lease.token], until=until)

    def drop(self, key: str, *, until: float) -> bool:
        """Remove the entry, and the lease of whoever computes it now. Whether it was surely done."""
        return self._is_done(self._one("UNLINK", self._names.value(key), self._names.lease(key), until=until))

    def drop_all(self, keys: Sequence[str], families: Sequence[str], *, until: float) -> bool:
        """`drop` each key and `drop_family` each family, in one command."""
        names = [name for key in keys for name in (self._names.value(key), self._names.lease(key))]
        names += [self._names.generation(family) for family in families]
        return self._is_done(self._one("UNLINK", *names, until=until))

    def drop_older(self, key: str, *, version: int, until: float) -> bool:
        """`drop`, and for `TOMBSTONE_SECONDS` refuse values older than `version`."""
        names = [self._names.value(key), self._names.tombstone(key), self._names.lease(key)]
        return self._is_done(self._script(scripts.INVALIDATE, names, [version, TOMBSTONE_SECONDS * 1000], until=until))

    def drop_family(self, family: str, *, until: float) -> bool:
        """Make every entry of the family unreadable, and every computation in flight not worth storing."""
        return self._is_done(self._one("UNLINK", self._names.generation(family), until=until))

    def drop_matching(self, pattern: str, *, until: float) -> bool:
        """Remove what matches a glob, in batches. The leases go first: nothing begun before is stored after."""
        leases, values = self._names.leases_matching(pattern), self._names.values_matching(pattern)
        return self._unlink_matching(leases, keep=lambda _name: False, until=until) and self._unlink_matching(
            values, keep=lambda name: not self._names.is_value(name, pattern=pattern), until=until
        )

    def counts(self, *, until: float) -> Mapping[str, int]:
        """The shared statistics."""
        found = self._one("HMGET", self._names.counters(), *COUNTERS, until=until)
        values = found if isinstance(found, list) else []
        return {name: int(value or 0) for name, value in zip(COUNTERS, values, strict=False)}

    def _decoded(self, key: str, raw: bytes, generation: bytes | None, *, until: float) -> Hit | None:
        try:
            return decode_entry(raw, generation=generation)
        except ValueError:
            self.drop(key, until=until)
            return None

    def _unlink_matching(self, glob: str, *, keep: Callable[[str], bool], until: float) -> bool:
        cursor: bytes = b"0"
        while True:
            found = self._one("SCAN", cursor, "MATCH", glob, "COUNT", SCAN_BATCH, until=until)
            if not isinstance(found, list):
                return False
            cursor, matched = found
            names = [name for name in matched if not keep(name.decode(errors="replace"))]
            if names and not self._is_done(self._one("UNLINK", *names, until=until)):
                return False
            if cursor == b"0":
                return True

    def _script(
        self, script: str, names: Sequence[str], arguments: Sequence[str | bytes | int], *, until: float
    ) -> object:
        return self._one("EVAL", script, len(names), *names, *arguments, until=until)

    def _one(self, *command: str | bytes | int, until: float) -> object:
        """The reply to one command; the statistics not yet sent travel beside it."""
        link = self._pool.take(until=until)
        unsent = self._stats.take_unsent()
        counting: list[Command] = [("HINCRBY", self._names.counters(), name, n) for name, n in unsent.items()]
        try:
            *counted, reply = link.exchange([*counting, command], until=until)
        except LINK_ERRORS as error:
            self._pool.fail(link, reason=f"{type(error).__name__}: {error}")
            raise CacheUnavailable("the cache did not answer by the deadline") from error
        if any(isinstance(answer, ResponseError) for answer in counted):
            self._stats.put_back(unsent)
        if isinstance(reply, ResponseError) and str(reply).split(" ", 1)[0] in NOT_READY:
            self._pool.fail(link, reason=str(reply))
            raise CacheUnavailable("the cache serves no one now")
        self._pool.give(link)
        return reply

    @staticmethod
    def _is_done(reply: object) -> bool:
        return isinstance(reply, int)


def _mark() -> str:
    return secrets.token_hex(8)
