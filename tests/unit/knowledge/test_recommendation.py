from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge import recommendation
from app.knowledge.recommendation import WITH_TASTE, WITHOUT_TASTE, Parts

SHARES = st.floats(0, 1)
NAMES = ("content", "affinity", "citations", "quality", "recency", "popularity")


def parts(**values: float) -> Parts:
    return Parts(**{**dict.fromkeys(NAMES, 0.0), **values})


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, SHARES)), st.booleans())
def test_a_score_is_the_sum_of_what_its_parts_add_and_0_to_1(values: dict[str, float], has_taste: bool) -> None:
    scored = Parts(**values)

    assert scored.score(has_taste=has_taste) == pytest.approx(sum(scored.weighted(has_taste=has_taste).values()))
    assert 0.0 <= scored.score(has_taste=has_taste) <= 1.0 + 1e-12


def test_the_weights_are_shares_of_one() -> None:
    assert set(WITH_TASTE) == set(NAMES)
    assert sum(WITH_TASTE.values()) == pytest.approx(1)
    assert sum(WITHOUT_TASTE.values()) == pytest.approx(1)


def test_without_a_taste_there_is_nothing_to_suit() -> None:
    assert parts(content=1.0, affinity=1.0, citations=1.0).score(has_taste=False) == 0.0


def test_the_reason_is_the_part_that_adds_most() -> None:
    assert parts(content=0.4, quality=0.9).strongest(has_taste=True) == "content"
    assert parts(content=0.1, quality=0.9).strongest(has_taste=True) == "quality"
    assert parts(content=0.4, quality=0.9).strongest(has_taste=False) == "quality"


@pytest.mark.parametrize(
    ("subjects", "authors", "expected"),
    [
        ([], [], 0.0),
        (["bees"], [], 1.0),  # all that is liked has it
        ([" bees ", "bees"], [], 1.0),
        (["wasps"], [], 0.0),  # disliked
        ([], ["Ada"], 0.5),
        (["hives"], ["Ada"], 0.75),
    ],
)
def test_affinity(subjects: list[str], authors: list[str], expected: float) -> None:
    liked = {"bees": 0.75, "hives": 0.375, "wasps": -0.1}

    found = recommendation.affinity(subjects, authors, liked_subjects=liked, liked_authors={"Ada": 0.375})

    assert found == pytest.approx(expected)


def test_citations_join_more_closely_the_more_there_are_and_the_more_is_liked() -> None:
    assert recommendation.joined([], most=1.5) == recommendation.joined([], most=0) == 0.0
    assert recommendation.joined([1.5], most=1.5) == pytest.approx(0.5)  # as near as one hop
    assert recommendation.joined([0.75], most=1.5) == pytest.approx(0.25)
    assert recommendation.joined([1.5, 1.5], most=1.5) == pytest.approx(0.75)


def test_news_age_by_days() -> None:
    assert recommendation.recency(timedelta(hours=23)) == 1.0
    assert recommendation.recency(timedelta(days=90)) == pytest.approx(0.5)


def test_the_most_liked_is_the_measure_of_popularity() -> None:
    assert recommendation.popularity(7, most=7) == 1.0
    assert recommendation.popularity(1, most=7) == pytest.approx(1 / 3)
    assert recommendation.popularity(0, most=0) == 0.0
