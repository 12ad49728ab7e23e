"""Outliers: scores that lie far below those of their like, told by robust statistics and in words.

The distance of a score from its like is the modified z-score of Iglewicz & Hoaglin, "How to detect and handle
outliers" (ASQC 1993): (x - median) / (1.4826 * MAD), in standard deviations of a normal distribution (1 / 1.4826 =
0.6745, its third quartile). Their bound of 3.5 is for normal scores; ours end at 1 and are skewed: ADR 0035 has the
bound that was found on real pages. Median and MAD stay where they are until half of the scores are wrong, while mean
and deviation are moved by the first one (Hampel, "The influence curve and its role in robust estimation", JASA 1974).
Where more than half of the scores are equal the MAD is 0, and the mean absolute deviation * 1.2533 takes its place
(the same book).

Only what lies *below* counts: an unusually good score asks nobody to do anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

MAD_TO_DEVIATION = 1.4826
MEAN_AD_TO_DEVIATION = 1.2533
LEAST_DIFFERENCE = 0.1
"""Of scores from 0 to 1: where all are nearly equal, a nearly equal one is far away only in deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """The scores of one dimension over a group: `deviation` is robust; 0: all are equal."""

    centre: float
    deviation: float
    count: int

    def distance(self, score: float) -> float:
        """How far `score` lies below the centre, in deviations; 0 when not below, or not by `LEAST_DIFFERENCE`."""
        below = self.centre - score
        if below < LEAST_DIFFERENCE or self.deviation == 0:
            return 0.0
        return below / self.deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why one document stands out: its largest distance, and one sentence a dimension, the farthest first."""

    severity: float
    reasons: tuple[str, ...]


def likeness_of(scores: Sequence[float]) -> Likeness:
    """Centre and robust deviation of at least one score, in O(n log n)."""
    centre = median(scores)
    distances = [abs(score - centre) for score in scores]
    deviation = MAD_TO_DEVIATION * median(distances) or MEAN_AD_TO_DEVIATION * fmean(distances)
    return Likeness(centre=centre, deviation=deviation, count=len(scores))


def finding_of(
    scores: Mapping[str, float], likenesses: Mapping[str, Likeness], *, like: str, bound: float
) -> Finding | None:
    """What stands out in a document: the dimensions that lie more than `bound` deviations below their like.

    `like` says in words which documents these are; None: nothing stands out.
    """
    distances = {name: likenesses[name].distance(score) for name, score in scores.items()}
    far = sorted((name for name, distance in distances.items() if distance > bound), key=lambda one: -distances[one])
    if not far:
        return None
    reasons = tuple(
        f"{name} {scores[name]:.2f} is {distances[name]:.1f} deviations below {likenesses[name].centre:.2f}, "
        f"the median of {likenesses[name].count} {like}"
        for name in far
    )
    return Finding(severity=distances[far[0]], reasons=reasons)
