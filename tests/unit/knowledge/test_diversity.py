from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.diversity import diversified

SCORES = st.dictionaries(st.integers(0, 30), st.floats(0, 1), max_size=12)
SHARES = st.floats(0, 1)


def by_remainder(one: int, other: int) -> float:
    """Two numbers are alike when they are so modulo 3, and a little when they are not."""
    return 1.0 if one % 3 == other % 3 else 1 / (1 + abs(one - other))


def order(
    scores: dict[int, float], share: float, *, similarity: Callable[[int, int], float] = by_remainder
) -> list[int]:
    return diversified(scores, similarity=similarity, relevance_share=share, limit=len(scores))


@given(SCORES, SHARES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(scores: dict[int, float], share: float, random: object) -> None:
    shuffled = list(scores.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random

    assert order(dict(shuffled), share) == order(scores, share)


@given(SCORES, SHARES)
def test_every_item_comes_once_and_a_shorter_answer_is_the_beginning_of_a_longer_one(
    scores: dict[int, float], share: float
) -> None:
    whole = order(scores, share)

    assert sorted(whole) == sorted(scores)
    for limit in range(len(scores)):
        assert diversified(scores, similarity=by_remainder, relevance_share=share, limit=limit) == whole[:limit]


@given(SCORES)
def test_relevance_alone_is_the_order_of_the_scores(scores: dict[int, float]) -> None:
    assert order(scores, 1.0) == sorted(scores, key=lambda item: (-scores[item], item))


@given(SCORES, SHARES)
def test_the_first_is_the_most_relevant_unless_relevance_counts_nothing(scores: dict[int, float], share: float) -> None:
    found = order(scores, share)
    if found and share > 0.01:
        assert scores[found[0]] >= max(scores.values()) - 1e-9


@given(SCORES)
def test_diversity_alone_takes_the_most_unlike_each_time(scores: dict[int, float]) -> None:
    found = order(scores, 0.0)
    for place in range(1, len(found)):
        before, left = found[:place], found[place:]
        nearest = {item: max(by_remainder(item, one) for one in before) for item in left}
        assert nearest[found[place]] == min(nearest.values())


def test_one_of_each_kind_comes_before_a_second_of_any() -> None:
    scores = {0: 0.9, 3: 0.89, 6: 0.88, 1: 0.7, 2: 0.6}

    found = order(scores, 0.5)[:3]

    assert all(one % 3 != other % 3 for one, other in combinations(found, 2))
