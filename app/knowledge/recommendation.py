"""Recommendation: how well a document suits a user, as a weighted sum of parts that are each 0 to 1.

content     cosine of the document's vector and the taste's, 0 where it is below 0
affinity    how far its subjects and authors are those of what the user likes: 1 - (1 - s)(1 - a), each the share of
            the likings that have them (`knowledge.taste`)
citations   1 - the product of 1 - w/2 over the liked documents that it cites or is cited by, w being how much each is
            liked by that of the most liked one: independent evidence, of as much weight as in `knowledge.nearness`
quality     the overall score of `knowledge.quality`, 0 until there is one
recency     2^(-age / 90 days) since it came into the library, by whole days
popularity  how many others liked it of late, log(1 + n) / log(1 + n of the most liked one asked about)

The weights are ours: what suits this user before what suits everyone, and ties broken by the rest. Without a taste
there is nothing to suit, and only the last three count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import fsum, log1p, prod

from app.knowledge.nearness import LINKED_AT_ONE_HOP
from app.knowledge.taste import ROCCHIO_LIKED
from app.knowledge.time_decay import decayed

NEWS_HALF_LIFE = timedelta(days=90)
WITH_TASTE: Mapping[str, float] = {
    "content": 0.40,
    "affinity": 0.15,
    "citations": 0.15,
    "quality": 0.15,
    "recency": 0.10,
    "popularity": 0.05,
}
WITHOUT_TASTE: Mapping[str, float] = {"quality": 0.4, "recency": 0.3, "popularity": 0.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Each 0 to 1, as the module says."""

    content: float
    affinity: float
    citations: float
    quality: float
    recency: float
    popularity: float

    def weighted(self, *, has_taste: bool) -> dict[str, float]:
        """What each part adds to the score."""
        weights = WITH_TASTE if has_taste else WITHOUT_TASTE
        return {name: weights.get(name, 0.0) * getattr(self, name) for name in WITH_TASTE}

    def score(self, *, has_taste: bool) -> float:
        """The weighted sum, 0 to 1."""
        return fsum(self.weighted(has_taste=has_taste).values())

    def strongest(self, *, has_taste: bool) -> str:
        """The part that adds most; of equal ones the first in the order of the fields."""
        weighted = self.weighted(has_taste=has_taste)
        return max(weighted, key=lambda name: weighted[name])


def content(cosine: float) -> float:
    """See the module."""
    return min(1.0, max(0.0, cosine))


def affinity(
    subjects: Iterable[str],
    authors: Iterable[str],
    *,
    liked_subjects: Mapping[str, float],
    liked_authors: Mapping[str, float],
) -> float:
    """See the module."""
    return 1 - (1 - _share(subjects, liked_subjects)) * (1 - _share(authors, liked_authors))


def joined(weights: Iterable[float], *, most: float) -> float:
    """See the module: `citations`. `weights` are above 0, and `most` is none of them below."""
    return 1 - prod(1 - LINKED_AT_ONE_HOP * weight / most for weight in sorted(weights))


def recency(age: timedelta) -> float:
    """See the module. By whole days, so that an answer keeps its order from one minute to the next."""
    return decayed(1.0, age=timedelta(days=age.days), half_life=NEWS_HALF_LIFE)


def popularity(likes: float, *, most: float) -> float:
    """See the module."""
    return log1p(likes) / log1p(most) if most > 0 else 0.0


def _share(terms: Iterable[str], liked: Mapping[str, float]) -> float:
    return content(fsum(liked.get(term, 0.0) for term in {term.strip() for term in terms}) / ROCCHIO_LIKED)
