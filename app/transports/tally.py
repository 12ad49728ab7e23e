"""What the transports of this process have counted and nobody has taken yet: it ends up in the table of counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from threading import Lock

LEASE_LOST = "lease_lost_total"
"""Messages that a live worker thought its own, and others had been given: it was frozen, or cut off."""
MESSAGES_RECOVERED = "messages_recovered_total"
"""Messages that dead or silent workers held on Redis, given back. RabbitMQ does that itself and tells nobody."""


class Tally:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, name: str, count: int) -> None:
        """Count so many more."""
        self.put_back({name: count} if count else {})

    def take(self) -> dict[str, int]:
        """What was counted since the last time. Whoever takes it writes it down, or puts it back."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return dict(taken)

    def put_back(self, counts: Mapping[str, int]) -> None:
        """These could not be written down."""
        with self._lock:
            self._counts.update(counts)


tally = Tally()
