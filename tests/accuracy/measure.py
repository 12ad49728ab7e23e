"""What was found, held against what is there: precision, recall, and a line that says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Measure:
    """Counts of what is right, what is too much and what is missing."""

    name: str
    right: int = 0
    extra: int = 0
    missing: int = 0

    def add(self, found: Iterable[object], there: Iterable[object]) -> None:
        """One more document."""
        found, there = set(found), set(there)
        self.right += len(found & there)
        self.extra += len(found - there)
        self.missing += len(there - found)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.extra) if self.right + self.extra else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missing) if self.right + self.missing else 1.0

    def __str__(self) -> str:
        counts = f"{self.right} right, {self.extra} too many, {self.missing} missing"
        return f"{self.name}: precision {self.precision:.4f}, recall {self.recall:.4f} ({counts})"
