from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ModelMismatch
from app.knowledge.text_features import TEXT_CHARS_MAX, Vocabulary, counted_terms, learn_vocabulary
from app.knowledge.trained_classifier import TrainedClassifier, from_bytes


@given(texts=st.lists(st.text(), max_size=6), asked=st.text())
def test_any_text_has_weights_of_unit_length_or_none(texts: list[str], asked: str) -> None:
    vocabulary = learn_vocabulary([counted_terms(text) for text in texts])

    weights = vocabulary.weights(counted_terms(asked))

    assert weights.shape == (len(vocabulary),)
    assert float(np.linalg.norm(weights)) in (0.0, pytest.approx(1.0, abs=1e-5))


@pytest.mark.parametrize("piece", ["a" * 1000, "ab ", "\u0301", "1.", "文", "-\n"])
def test_a_megabyte_is_counted_within_a_second(piece: str) -> None:
    began = time.process_time()

    counted_terms(piece * (1_000_000 // len(piece)))

    assert time.process_time() - began < 1


def test_only_terms_that_tell_texts_apart_are_learnt() -> None:
    texts = [counted_terms(text) for text in ("zebra lion common", "zebra common 42 x", "lion common", "common rare")]

    assert learn_vocabulary(texts).terms == ("lion", "zebra")


def test_only_the_beginning_is_read() -> None:
    assert counted_terms("zebra " + " " * TEXT_CHARS_MAX + "lion") == Counter({"zebra": 1})


@given(data=st.binary(max_size=300))
def test_whatever_is_stored_is_a_model_or_refused(data: bytes) -> None:
    with pytest.raises(ModelMismatch):
        from_bytes(data)


def test_arrays_that_do_not_fit_each_other_are_refused() -> None:
    model = TrainedClassifier(
        labels=("000", "500"),
        vocabulary=Vocabulary(terms=["zebra"], rarity=np.ones(1, dtype=np.float32)),
        coefficients=np.ones((2, 3), dtype=np.float32),
        intercepts=np.zeros(2, dtype=np.float32),
        temperature=1.0,
        means=np.eye(2, dtype=np.float32),
        familiar=np.array([0.5, 0.5], dtype=np.float32),
    )
    assert from_bytes(model.to_bytes()).labels == ("000", "500")
    assert model.is_familiar(np.array([0.6, 0.8], dtype=np.float32))
    assert not model.is_familiar(np.array([-1, 0], dtype=np.float32))

    broken = TrainedClassifier(
        **{name: getattr(model, name) for name in model.__slots__ if name != "intercepts"},
        intercepts=np.zeros(3, dtype=np.float32),
    )
    with pytest.raises(ModelMismatch, match="do not fit"):
        from_bytes(broken.to_bytes())
