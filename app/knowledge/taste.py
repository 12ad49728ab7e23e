"""Taste: what a user likes, from what they did with which documents.

Of each document: log(1 + sum of the decayed weights of what was done with it), so that the hundredth view of one page
does not drown everything else (Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM
2008, eq. 6). A last rating below the middle makes it a document that the user dislikes, whatever else they did with it.
Of all of them: Rocchio's formula, the mean of what is liked less that of what is disliked, with the weights that
Manning, Raghavan & Schütze, "Introduction to information retrieval", 2008, §9.1.1 find reasonable.

Ages are counted from the user's newest interaction: taste does not change by waiting, only by doing. All sums are
exact or in the order of ids: the same interactions make the same taste, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import copysign, fsum, log1p
from typing import TYPE_CHECKING
from uuid import UUID

from app.knowledge.time_decay import decayed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS: Mapping[str, float] = {"view": 1.0, "annotation": 3.0, "collection_add": 4.0, "export": 4.0}
"""What each act says of a liking, in views. Ours: to keep a page, or to write on it, takes a decision."""
RATING_WEIGHT = 2.0
"""Of each step of a rating above or below the middle."""
MIDDLE_RATING = 3
ROCCHIO_LIKED, ROCCHIO_DISLIKED = 0.75, 0.15
TERMS_MAX = 50
"""Subjects, and authors, that a taste names."""
LIKINGS_MAX = 30
"""Documents that a taste names, the most liked first: what recommendations are explained by."""
_NO_LENGTH = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One interaction: a type of `WEIGHTS`, or `rating` with 1 to 5."""

    resource_id: UUID
    type: str
    at: datetime
    rating: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDocument:
    """What taste is made of. `vector`: little-endian float32 of unit length, if there is one."""

    subjects: Sequence[str] = ()
    authors: Sequence[str] = ()
    vector: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liking:
    """How much a document is liked (below 0: disliked), and the act that says most of it."""

    resource_id: UUID
    weight: float
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """`vector`: like those of the documents; None when nothing liked has one. Weights are -0.15 to 0.75."""

    vector: bytes | None
    subjects: Mapping[str, float]
    authors: Mapping[str, float]
    likings: Sequence[Liking]


def taste_of(acts: Iterable[Act], documents: Mapping[UUID, KnownDocument], *, half_life: timedelta) -> Taste:
    """The taste that `acts` on `documents` show; acts on others are left out. Vectors are all of one length."""
    likings = [one for one in likings_of(acts, half_life=half_life) if one.resource_id in documents]
    return Taste(
        vector=_vector(likings, documents),
        subjects=_terms(likings, lambda one: documents[one].subjects),
        authors=_terms(likings, lambda one: documents[one].authors),
        likings=sorted((one for one in likings if one.weight > 0), key=lambda one: (-one.weight, one.resource_id))[
            :LIKINGS_MAX
        ],
    )


def likings_of(acts: Iterable[Act], *, half_life: timedelta) -> list[Liking]:
    """One for each document that is liked or disliked, in the order of their ids."""
    by_document: dict[UUID, list[Act]] = {}
    for act in acts:
        by_document.setdefault(act.resource_id, []).append(act)
    newest = max((act.at for of_one in by_document.values() for act in of_one), default=None)
    if newest is None:
        return []
    likings = [_liking(by_document[one], newest=newest, half_life=half_life) for one in sorted(by_document)]
    return [one for one in likings if one.weight]


def _liking(acts: Sequence[Act], *, newest: datetime, half_life: timedelta) -> Liking:
    said: list[tuple[float, str]] = [
        (decayed(WEIGHTS[act.type], age=newest - act.at, half_life=half_life), act.type)
        for act in acts
        if act.type in WEIGHTS
    ]
    ratings = [(act.at, act.rating) for act in acts if act.rating is not None]
    if ratings:  # the last one, and of two at one moment the higher
        at, rating = max(ratings)
        said.append((decayed(RATING_WEIGHT * (rating - MIDDLE_RATING), age=newest - at, half_life=half_life), "rating"))
        if rating < MIDDLE_RATING:
            said = said[-1:]
    total = fsum(weight for weight, _ in said)
    return Liking(
        resource_id=acts[0].resource_id, weight=copysign(log1p(abs(total)), total), type=max(said, default=(0.0, ""))[1]
    )


def _rocchio(likings: Sequence[Liking]) -> list[tuple[Liking, float]]:
    """Each liking with its share in the taste; nothing for who likes nothing: a dislike alone points nowhere."""
    liked = fsum(one.weight for one in likings if one.weight > 0)
    disliked = fsum(-one.weight for one in likings if one.weight < 0)
    if not liked:
        return []
    # Divided first: what decayed to almost nothing is a share of almost nothing, and its reciprocal would be infinite.
    return [
        (one, one.weight / liked * ROCCHIO_LIKED if one.weight > 0 else one.weight / disliked * ROCCHIO_DISLIKED)
        for one in likings
    ]


def _terms(likings: Sequence[Liking], terms_of: Callable[[UUID], Sequence[str]]) -> dict[str, float]:
    """The weight of each subject or author, the greatest first: the share of the likings that have it."""
    shares: dict[str, list[float]] = {}
    for one, share in _rocchio(likings):
        for term in {term.strip() for term in terms_of(one.resource_id)} - {""}:
            shares.setdefault(term, []).append(share)
    weights = {term: fsum(some) for term, some in shares.items()}
    first = sorted(weights, key=lambda term: (-abs(weights[term]), term))[:TERMS_MAX]
    return {term: weights[term] for term in first if weights[term]}


def _vector(likings: Sequence[Liking], documents: Mapping[UUID, KnownDocument]) -> bytes | None:
    import numpy as np  # noqa: PLC0415 — the API computes no profile, and should not load what does

    seen = [one for one in likings if documents[one.resource_id].vector is not None]
    parts: list[NDArray[np.float64]] = [
        share * np.frombuffer(documents[one.resource_id].vector or b"", dtype="<f4").astype(np.float64)
        for one, share in _rocchio(seen)
    ]
    if not parts:
        return None
    total = np.sum(parts, axis=0)
    length = float(np.linalg.norm(total))
    return None if length < _NO_LENGTH else (total / length).astype("<f4").tobytes()
