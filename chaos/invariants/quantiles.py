"""What samples of times say for certain of the 95th percentile that they were drawn from.

A p95 of a hundred writes wavers by a fifth from run to run on a busy machine: two of them say little about each other.
Each time falls under the true percentile with a probability of 0.95, whatever the distribution: that is all it takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SHARE = 0.95
CERTAINTY = 0.95


def at_most(times: Sequence[float]) -> float:
    """The p95 that these were drawn from is no larger, with a certainty of 0.95; of too few, the largest of them."""
    below = _quantile(len(times), SHARE)
    return sorted(times)[min(below, len(times) - 1)]


def is_larger(times: Sequence[float], than: float, *, among: int = 1) -> bool:
    """Whether the p95 that these were drawn from is larger, with a certainty of 0.95; of `among` that are looked at,
    with so much for all of them together.
    """
    certainty = 1 - (1 - CERTAINTY) / among
    return sum(one > than for one in times) > _quantile(len(times), 1 - SHARE, certainty=certainty)


def _quantile(count: int, probability: float, *, certainty: float = CERTAINTY) -> int:
    """The smallest number that a binomial variable exceeds with a probability of at most 1 - `certainty`."""
    reached = 0.0
    for successes in range(count + 1):
        reached += math.comb(count, successes) * probability**successes * (1 - probability) ** (count - successes)
        if reached >= certainty:
            return successes
    return count
