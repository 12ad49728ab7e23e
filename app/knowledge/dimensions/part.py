"""Part: one piece of evidence for a dimension, and how parts make a score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WEAK = 0.5
"""A part below this is named among the reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """`value` and `weight` in [0, 1]; `finding` says in plain words what was found."""

    value: float
    weight: float
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A dimension in [0, 1] and the findings that pulled it down, the heaviest first."""

    value: float
    reasons: tuple[str, ...]


def score_of(parts: Iterable[Part | None]) -> Score:
    """The weighted mean of the parts that apply; a dimension without any evidence is 0."""
    applying = [part for part in parts if part is not None]
    total = sum(part.weight for part in applying)
    value = sum(part.weight * clamped(part.value) for part in applying) / total if total else 0.0
    weak = sorted((part for part in applying if part.value < WEAK), key=lambda part: part.weight * (part.value - 1))
    return Score(value=clamped(value), reasons=tuple(part.finding for part in weak))


def clamped(value: float) -> float:
    """`value` held within [0, 1]."""
    return min(1.0, max(0.0, value))


def saturated(amount: float, *, half: float) -> float:
    """0 for nothing, 0.5 at `half`, towards 1 for much: the first pieces of evidence count most (as in BM25)."""
    return amount / (amount + half) if amount > 0 else 0.0


def decayed(amount: float, *, half: float) -> float:
    """1 for nothing, halved by every `half`: exponential decay."""
    return float(0.5 ** (max(0.0, amount) / half))
