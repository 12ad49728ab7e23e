"""Diversity: a ranking in which no item says again what one before it said.

Maximal marginal relevance: Carbonell & Goldstein, "The use of MMR, diversity-based reranking for reordering documents
and producing summaries", SIGIR 1998.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar


class Ordered(Protocol):
    """What can be put in order: ids."""

    def __lt__(self, other: Any, /) -> bool:
        """Whether this one comes first."""
        ...


Item = TypeVar("Item", bound=Ordered)


def diversified(
    scores: Mapping[Item, float], *, similarity: Callable[[Item, Item], float], relevance_share: float, limit: int
) -> list[Item]:
    """At most `limit` items, each the best of those left by `share * score - (1 - share) * greatest similarity`.

    That is the greatest to any item before it, 0 for the first. `relevance_share` is the paper's lambda, 0 to 1: 1
    gives the order of the scores. Equal ones: the higher score, then the smaller item. The first `n` of a longer
    answer are the answer of length `n`. `similarity`: 0 to 1; asked for `limit * len(scores)` times at most.
    """
    left = sorted(scores, key=lambda item: (-scores[item], item))
    nearest = dict.fromkeys(left, 0.0)
    chosen: list[Item] = []
    while left and len(chosen) < limit:
        best = max(left, key=lambda item: relevance_share * scores[item] - (1 - relevance_share) * nearest[item])
        left.remove(best)
        chosen.append(best)
        for item in left:
            nearest[item] = max(nearest[item], similarity(best, item))
    return chosen
