"""The seed's flow on a trace, by its own rules: what it computes, and how often it answers with something old.

Cache-aside with the seed's times to live; `resource.updated` drops the resource, its quality and every search page;
each event queues its task, and nothing joins two of one kind. It is given what it would not have: a drop
takes no time, no task fails, and no two readers compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.trace import Asked

TTL_SECONDS = {"resource": 600, "quality": 1800, "search": 300, "recommendations": 300}
QUALITY_DELAY, INDEX_DELAY = 10.0, 1.0


def tasks_of_the_seed(write: Asked) -> int:
    """Its hook table: the index and the quality, and for another text the embedding."""
    return 3 if write.is_new_text else 2


@dataclass(slots=True)
class SeedFlow:
    """What happened so far. A built thing is as new as the edits that its tasks have come to."""

    computed_reads: int = 0
    tasks: int = 0
    old_answers: int = 0
    _cached: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)
    _edits: dict[int, list[tuple[float, bool]]] = field(default_factory=dict)

    def play(self, asked: Sequence[Asked]) -> None:
        """The whole trace."""
        for one in asked:
            if one.kind == "write":
                self._write(one)
            else:
                self._read(one)

    def _write(self, one: Asked) -> None:
        self._edits.setdefault(one.rank, []).append((one.at, one.is_new_text))
        self.tasks += 2  # the index, and the embedding or the quality
        gone = [
            key for key in self._cached if key[0] == "search" or key in {("resource", one.rank), ("quality", one.rank)}
        ]
        for key in gone:
            del self._cached[key]

    def _read(self, one: Asked) -> None:
        key = (one.kind, one.rank)
        true = self._state(one)
        until, kept = self._cached.get(key, (0.0, 0))
        if one.at < until:
            self.old_answers += kept != true
            return
        self.computed_reads += 1
        self._cached[key] = (one.at + TTL_SECONDS[one.kind], true)

    def _state(self, one: Asked) -> int:
        """How many edits what is asked for is built from."""
        if one.kind == "resource":
            return len(self._edits.get(one.rank, ()))
        if one.kind == "quality":
            done = [at for at, is_new_text in self._edits.get(one.rank, ()) if not is_new_text]
            return sum(at + QUALITY_DELAY <= one.at for at in done)
        if one.kind == "search":
            return sum(at + INDEX_DELAY <= one.at for edits in self._edits.values() for at, _ in edits)
        return 0
