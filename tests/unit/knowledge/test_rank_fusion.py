"""Reciprocal rank fusion."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.rank_fusion import fuse

RANKINGS = st.lists(st.lists(st.integers(0, 20), unique=True), max_size=4)


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    assert fuse(["a", "b"], ["b"], k=60) == [("b", 1 / 62 + 1 / 61), ("a", 1 / 61)]


def test_ties_keep_the_order_of_first_appearance() -> None:
    assert [item for item, _ in fuse(["a", "b"], ["b", "a"])] == ["a", "b"]
    assert [item for item, _ in fuse(["x"], ["y"])] == ["x", "y"]


def test_a_repeated_item_counts_at_its_best_rank() -> None:
    assert fuse(["a", "b", "a"]) == fuse(["a", "b"])


@given(RANKINGS)
def test_the_union_comes_out_best_first(rankings: list[list[int]]) -> None:
    fused = fuse(*rankings)

    assert {item for item, _ in fused} == {item for ranking in rankings for item in ranking}
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)


@given(st.lists(st.integers(), unique=True))
def test_one_ranking_keeps_its_order(ranking: list[int]) -> None:
    assert [item for item, _ in fuse(ranking)] == ranking
