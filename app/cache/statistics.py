"""Statistics of the cache, the same from every process.

Outcomes are counted here and travel as `HINCRBY` beside the next command, so they cost no round
trip of their own. What a process has not sent yet is added to what the server knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from app.cache.fork import after_fork_in_child

HITS = "hits"
MISSES = "misses"
INVALIDATIONS = "invalidations"
COUNTERS = (HITS, MISSES, INVALIDATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounts:
    """Counts of all processes at one moment."""

    hits: int = 0
    misses: int = 0
    invalidations: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits among all reads, 0 to 1; 0 before the first read."""
        total = self.hits + self.misses
        return self.hits / total if total > 0 else 0.0


class CacheStats:
    """The seed's `cache.stats`; `fetch` asks the server for the shared counts."""

    def __init__(self, fetch: Callable[[], Mapping[str, int]]) -> None:
        self._fetch = fetch
        self._shared: Mapping[str, int] = {}
        self._lost: Counter[str] = Counter()
        self._known: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._forget()
        after_fork_in_child(self._forget)

    def _forget(self) -> None:
        """Start at nothing; a forked child must not send its parent's counts again."""
        self._lock, self._fetching = Lock(), Lock()
        self._unsent: Counter[str] = Counter()

    @property
    def hits(self) -> int:
        """Reads the cache answered."""
        return self.snapshot().hits

    @property
    def misses(self) -> int:
        """Reads the cache could not answer, also because it was away."""
        return self.snapshot().misses

    @property
    def invalidations(self) -> int:
        """Entries or patterns dropped."""
        return self.snapshot().invalidations

    def hit_rate(self) -> float:
        """Hits among all reads, 0 to 1."""
        return self.snapshot().hit_rate

    def snapshot(self) -> CacheCounts:
        """All counts at once; while the cache is away, the last ones known to this process.

        They never go back: what an emptied cache has forgotten is added to what it counts anew.
        """
        with self._fetching:  # answers in another order than the questions would look like a cache that was emptied
            if shared := self._fetch():
                self._take_over(shared)
        with self._lock:
            # What is on its way to the cache is counted neither here nor there, and may be lost with the connection.
            self._told |= Counter({name: self._known[name] + self._unsent[name] for name in COUNTERS})
            return CacheCounts(**{name: self._told[name] for name in COUNTERS})

    def _take_over(self, shared: Mapping[str, int]) -> None:
        for name in COUNTERS:
            self._lost[name] += max(0, self._shared.get(name, 0) - shared[name])
        self._shared = shared
        self._known = Counter({name: shared[name] + self._lost[name] for name in COUNTERS})

    def record(self, counter: str, count: int = 1) -> None:
        """Count one outcome."""
        with self._lock:
            self._unsent[counter] += count

    def take_unsent(self) -> Counter[str]:
        """Hand over what has not been sent."""
        with self._lock:
            unsent, self._unsent = self._unsent, Counter()
            return unsent

    def put_back(self, counts: Mapping[str, int]) -> None:
        """What the server refused to count waits for the next command."""
        with self._lock:
            self._unsent.update(counts)
