"""What the API accepted, written down by the client that asked: the truth that survives any crash of the product."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock


@dataclass(slots=True, kw_only=True)
class Entry:
    """One resource as its client knows it.

    `unanswered`: contents that were sent and got no answer since the last one that did; each may be there or not.
    `most`: the version it has if each write that was sent, answered or not, was done once.
    `left_alone`: a scenario edits it, and the load does not.
    """

    version: int
    most: int
    content: str
    unanswered: list[str] = field(default_factory=list)
    deleted: bool = False
    maybe_deleted: bool = False
    left_alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request: when it was sent, how long its answer took, its status (0: no answer), the words of a refusal."""

    at: datetime
    seconds: float
    status: int
    what: str
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """The API has said that it is done."""
        return 200 <= self.status < 300


class Ledger:
    """Entries by resource, documents that were asked for by their URL, and every write. Safe between threads."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.documents: dict[str, str] = {}
        self.writes: list[Write] = []
        self.unanswered_creates = 0
        self.lock = Lock()

    def note(self, write: Write) -> None:
        """One more request."""
        with self.lock:
            self.writes.append(write)

    @property
    def accepted(self) -> int:
        """How many writes were accepted."""
        return sum(write.accepted for write in list(self.writes))

    def accepted_since(self, moment: datetime | None) -> int:
        """How many of those that were sent since then were accepted; None: of all."""
        return sum(write.accepted for write in list(self.writes) if moment is None or write.at >= moment)

    def failed(self) -> list[Write]:
        """Writes that were refused or got no answer."""
        return [write for write in list(self.writes) if not write.accepted]

    def between(self, began: datetime, ended: datetime) -> list[Write]:
        """Writes that were sent in this window."""
        return [write for write in list(self.writes) if began <= write.at <= ended]


def p95_seconds(writes: Iterable[Write]) -> float | None:
    """The 95th percentile of the time to the answer; None of fewer than twenty."""
    seconds = [write.seconds for write in writes]
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) >= 20 else None
