"""Rank fusion: one ranking out of several, by rank alone, since scores of different engines are not comparable."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

K = 60
"""Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
methods", SIGIR 2009: the constant of their experiments."""

Item = TypeVar("Item", bound=Hashable)


def fuse(*rankings: Sequence[Item], k: int = K) -> list[tuple[Item, float]]:
    """Items with the sum of 1 / (k + rank) over the rankings they are in (ranks from 1), best first.

    Ties keep the order of first appearance, rankings read in the order given. A repeated item counts once
    in a ranking, at its best rank.
    """
    scores: dict[Item, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(dict.fromkeys(ranking), start=1):
            scores[item] = scores.get(item, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda scored: -scored[1])
