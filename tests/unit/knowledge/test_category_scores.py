from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.calibration import confidence_bins, expected_calibration_error, fit_temperature, log_loss
from app.knowledge.category_scores import (
    HUBNESS,
    PhraseVectors,
    commonness_of,
    cosines_of_codes,
    judge,
    probabilities_with_descendants,
    softmax,
    zero_shot_probabilities,
)
from app.knowledge.category_tree import PHRASES_MAX, Category, CategoryTree

CODES = {"0": None, "1": None, "00": "0", "01": "0", "010": "01", "11": "1"}
TREE = CategoryTree(Category(code=code, parent=parent, label=code) for code, parent in CODES.items())
cosines = st.dictionaries(st.sampled_from(sorted(CODES)), st.floats(-1, 1), max_size=len(CODES))


def test_a_tree_knows_what_is_above_and_below() -> None:
    assert TREE.roots == ["0", "1"]
    assert TREE.children("0") == ["00", "01"]
    assert TREE.path("010") == ["010", "01", "0"]
    assert TREE.subtree("0") == ["0", "00", "01", "010"]


@given(description=st.text())
def test_a_category_has_few_phrases_none_of_them_blank(description: str) -> None:
    phrases = Category(code="1", parent=None, label="Law", description=description).phrases

    assert phrases[0] == "Law"
    assert len(phrases) == len(set(phrases)) <= PHRASES_MAX
    assert all(phrase.strip() for phrase in phrases)


def test_a_code_is_as_near_as_the_mean_of_its_three_nearest_phrases() -> None:
    phrases = PhraseVectors(
        codes=["0", "1"],
        vectors=np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1], [0.6, 0.8]], dtype=np.float32),
        owners=np.array([0, 0, 0, 0, 1]),
        commonness=np.zeros(5, dtype=np.float32),
    )

    near = cosines_of_codes(np.array([1, 0], dtype=np.float32), phrases)

    assert near == {"0": pytest.approx(0.8), "1": pytest.approx(0.6)}


def test_a_phrase_that_is_near_to_all_others_has_to_be_nearer_to_a_text() -> None:
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.577, 0.577, 0.577]], dtype=np.float32)
    common = commonness_of(vectors)
    phrases = PhraseVectors(codes=["0", "1", "00", "01"], vectors=vectors, owners=np.arange(4), commonness=common)

    near = cosines_of_codes(np.array([0.6, 0.8, 0], dtype=np.float32), phrases)

    assert common == pytest.approx([-0.0962, -0.0962, -0.0962, 0.2885], abs=1e-3)
    assert near["1"] == pytest.approx(0.8 + HUBNESS * 0.0962, abs=1e-3)
    assert near["01"] == pytest.approx(0.8078 - HUBNESS * 0.2885, abs=1e-3)
    assert max(near, key=near.__getitem__) == "1"
    assert commonness_of(vectors[:1]).tolist() == [0]


@given(cosines=cosines)
def test_classes_share_all_probability_and_codes_that_of_their_class(cosines: dict[str, float]) -> None:
    found = zero_shot_probabilities(TREE, cosines)

    assert sum(found[code] for code in TREE.roots) == pytest.approx(1)
    for code in TREE:
        assert 0 <= sum(found[one] for one in TREE.children(code)) <= found[code] + 1e-9


@given(cosines=cosines)
def test_what_is_said_is_of_the_likeliest_class_and_is_narrow_only_where_sure(cosines: dict[str, float]) -> None:
    found = zero_shot_probabilities(TREE, cosines)

    best = judge(TREE, found, sure=0.7).best

    assert best is not None
    root = TREE.root_of(best.code)
    assert found[root] == max(found[code] for code in TREE.roots)
    assert best.confidence == pytest.approx(found[best.code])
    assert best.code == root or best.confidence >= 0.7 or found[root] < 0.7


def test_a_class_is_said_where_no_division_is_sure() -> None:
    verdict = judge(TREE, {"0": 0.9, "00": 0.5, "01": 0.4, "1": 0.1, "11": 0.1}, sure=0.7)

    assert verdict.best is not None
    assert (verdict.best.code, verdict.best.confidence) == ("0", 0.9)
    assert [one.code for one in verdict.alternatives] == ["11"]


def test_nothing_is_said_of_nothing() -> None:
    assert judge(TREE, {}, sure=0.7).best is None
    assert judge(CategoryTree([]), {}, sure=0.7).best is None


def test_labels_count_for_all_above_them() -> None:
    found = probabilities_with_descendants(TREE, {"010": 0.6, "00": 0.3, "1": 0.1})

    assert found["0"] == pytest.approx(0.9)
    assert (found["01"], found["1"]) == (0.6, 0.1)


def test_the_temperature_that_was_there_is_found_again() -> None:
    generator = np.random.default_rng(5)
    logits = generator.normal(size=(4000, 5)) * 2
    right = np.array([generator.choice(5, p=row) for row in softmax(logits)])

    assert fit_temperature(logits * 3, right) == pytest.approx(3, rel=0.1)


def test_calibration_is_measured_by_bins() -> None:
    bins = confidence_bins([0.95, 0.9, 0.05], [True, False, False])

    assert [(one.low, one.count, one.accuracy) for one in bins] == [(0.0, 1, 0.0), (0.9, 2, 0.5)]
    assert expected_calibration_error([0.95, 0.9, 0.05], [True, False, False]) == pytest.approx((0.85 + 0.05) / 3)
    assert expected_calibration_error([], []) == 0
    assert log_loss(np.array([1.0, 0.0])) == pytest.approx(-np.log(1e-6) / 2)
