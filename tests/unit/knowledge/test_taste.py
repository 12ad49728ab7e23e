from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.taste import LIKINGS_MAX, Act, KnownDocument, Taste, likings_of, taste_of

HALF_LIFE = timedelta(days=30)
NOW = datetime(2026, 1, 31, tzinfo=UTC)
IDS = [UUID(int=number) for number in range(1, 9)]
BEES, WASPS, TEA, COFFEE, *_ = IDS


def direction(number: int) -> bytes:
    unit: np.ndarray = np.eye(8, dtype="<f4")[number]
    return unit.tobytes()


DOCUMENTS = {
    one: KnownDocument(subjects=(f"subject {number % 3}",), authors=("Ada",), vector=direction(number))
    for number, one in enumerate(IDS)
}
ACTS = st.builds(
    Act,
    resource_id=st.sampled_from(IDS),
    type=st.sampled_from(["view", "annotation", "collection_add", "export"]),
    at=st.datetimes(timezones=st.just(UTC)),
) | st.builds(
    Act,
    resource_id=st.sampled_from(IDS),
    type=st.just("rating"),
    at=st.sampled_from([NOW, NOW - timedelta(days=1)]),  # two at one moment, mostly
    rating=st.integers(1, 5),
)


def act(resource_id: UUID, type_: str = "view", *, days_ago: float = 0, rating: int | None = None) -> Act:
    return Act(resource_id=resource_id, type=type_, at=NOW - timedelta(days=days_ago), rating=rating)


def taste(*acts: Act) -> Taste:
    return taste_of(acts, DOCUMENTS, half_life=HALF_LIFE)


def vector_of(found: Taste) -> np.ndarray:
    assert found.vector is not None
    return np.frombuffer(found.vector, dtype="<f4")


@given(st.lists(ACTS, max_size=20).flatmap(lambda acts: st.tuples(st.just(acts), st.permutations(acts))))
def test_the_same_interactions_make_the_same_taste_in_whatever_order_they_came(
    both: tuple[list[Act], list[Act]],
) -> None:
    one, other = both

    assert taste(*one) == taste(*other)


@given(st.lists(ACTS, max_size=20), st.integers(0, 10_000))
def test_a_taste_does_not_change_by_waiting(acts: list[Act], days: int) -> None:
    latest = max((one.at for one in acts), default=NOW)
    if latest.year + days / 365 > 9990:
        days = 0
    later = [
        Act(resource_id=one.resource_id, type=one.type, at=one.at + timedelta(days=days), rating=one.rating)
        for one in acts
    ]

    assert taste(*later) == taste(*acts)


@given(st.lists(ACTS, max_size=20))
def test_a_taste_points_somewhere_or_nowhere_and_names_what_is_liked(acts: list[Act]) -> None:
    found = taste(*acts)

    assert found.vector is None or np.linalg.norm(vector_of(found)) == pytest.approx(1, abs=1e-5)
    weights = [one.weight for one in found.likings]
    assert weights == sorted(weights, reverse=True)
    assert all(weight > 0 for weight in weights)
    assert all(-0.15 - 1e-9 <= weight <= 0.75 + 1e-9 for weight in [*found.subjects.values(), *found.authors.values()])


@pytest.mark.parametrize("years", [80, 88, 100])
def test_what_is_liked_since_a_lifetime_before_the_last_dislike_is_still_all_of_the_taste(years: int) -> None:
    found = taste(act(BEES, "view", days_ago=365.25 * years), act(TEA, "rating", rating=1))

    if years < 90:  # then its weight is not zero yet: it may be as small as a number can be
        assert found.subjects["subject 0"] == pytest.approx(0.75)
        assert vector_of(found)[0] > 0.9
    else:
        assert found.vector is None


def test_nothing_done_is_no_taste() -> None:
    assert taste() == Taste(vector=None, subjects={}, authors={}, likings=[])


def test_to_keep_says_more_than_to_write_and_that_more_than_to_look() -> None:
    likings = likings_of([act(BEES, "view"), act(WASPS, "annotation"), act(TEA, "collection_add")], half_life=HALF_LIFE)
    weight = {one.resource_id: one.weight for one in likings}

    assert weight[BEES] < weight[WASPS] < weight[TEA]


def test_what_was_done_long_ago_counts_less() -> None:
    found = vector_of(taste(act(BEES, days_ago=60), act(TEA)))

    assert 0 < found[IDS.index(BEES)] < found[IDS.index(TEA)]


def test_the_hundredth_view_says_little() -> None:
    likings = likings_of([*[act(BEES)] * 100, act(TEA, "annotation")], half_life=HALF_LIFE)
    weight = {one.resource_id: one.weight for one in likings}

    assert weight[BEES] < 4 * weight[TEA]


@pytest.mark.parametrize("rating", [1, 2])
def test_a_bad_rating_turns_away_whatever_else_was_done(rating: int) -> None:
    found = taste(act(TEA), *[act(WASPS, "export")] * 5, act(WASPS, "rating", rating=rating))

    assert vector_of(found)[IDS.index(WASPS)] < 0 < vector_of(found)[IDS.index(TEA)]
    assert [one.resource_id for one in found.likings] == [TEA]
    assert found.subjects["subject 1"] < 0 < found.subjects["subject 2"]


def test_the_last_rating_counts() -> None:
    better = taste(act(TEA), act(WASPS, "rating", rating=1, days_ago=2), act(WASPS, "rating", rating=5))
    worse = taste(act(TEA), act(WASPS, "rating", rating=5, days_ago=2), act(WASPS, "rating", rating=1))

    assert vector_of(better)[IDS.index(WASPS)] > 0 > vector_of(worse)[IDS.index(WASPS)]


def test_a_middling_rating_says_nothing() -> None:
    assert taste(act(TEA, "rating", rating=3)) == taste()


def test_a_dislike_alone_points_nowhere() -> None:
    assert taste(act(TEA, "rating", rating=1)) == taste()


def test_documents_that_are_gone_or_have_no_vector_are_left_out() -> None:
    documents = {BEES: DOCUMENTS[BEES], TEA: KnownDocument(subjects=["tea"])}

    found = taste_of([act(BEES), act(TEA), act(COFFEE)], documents, half_life=HALF_LIFE)

    assert found.vector == direction(0)
    assert found.subjects == pytest.approx({"subject 0": 0.375, "tea": 0.375})
    assert [one.resource_id for one in found.likings] == [BEES, TEA]


def test_a_liking_names_the_act_that_says_most_of_it() -> None:
    found = taste(act(BEES, "view"), act(BEES, "annotation", days_ago=1), act(TEA, "rating", rating=5))

    assert {one.resource_id: one.type for one in found.likings} == {BEES: "annotation", TEA: "rating"}


def test_a_taste_names_only_what_is_liked_most() -> None:
    ids = [UUID(int=number) for number in range(100)]
    found = taste_of([act(one) for one in ids], dict.fromkeys(ids, KnownDocument()), half_life=HALF_LIFE)

    assert len(found.likings) == LIKINGS_MAX
