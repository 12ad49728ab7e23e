"""The optional engine gives the vectors of the default one (run by `make test-sentence-transformers`)."""

from __future__ import annotations

import numpy as np
import pytest

from app.embedding.embedder import Embedder, open_embedder
from app.settings import load_settings
from tests.semantic_questions import load_semantic_questions, page_text

PAGES = sorted({question.path for question in load_semantic_questions()})[::6]


@pytest.fixture(scope="module")
def torch_embedder() -> Embedder:
    return open_embedder(load_settings(embedding_engine="sentence-transformers", embedding_max_passages=4))


@pytest.fixture(scope="module")
def onnx_embedder() -> Embedder:
    return open_embedder(load_settings(embedding_engine="onnx", embedding_max_passages=4))


def test_both_engines_place_real_text_at_the_same_point(torch_embedder: Embedder, onnx_embedder: Embedder) -> None:
    texts = [question.question for question in load_semantic_questions()]
    for page in PAGES:
        text = page_text(page)
        passages = onnx_embedder.passages(text)
        assert torch_embedder.passages(text) == passages
        texts.extend(passages)
    assert len(texts) >= 100

    cosines = np.sum(torch_embedder.embed(texts) * onnx_embedder.embed(texts), axis=1)

    print(f"cosine over {len(texts)} real texts: min {cosines.min():.5f}, mean {cosines.mean():.5f}")  # noqa: T201
    assert cosines.min() >= 0.99


def test_rows_are_unit_vectors_in_the_order_of_the_texts(torch_embedder: Embedder) -> None:
    texts = ["a much longer text about databases and their indexes", "short", "", "a lone surrogate \ud800"]
    together = torch_embedder.embed(texts)
    assert together.shape == (4, torch_embedder.dimension)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.vstack([torch_embedder.embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)


def test_no_text_gives_no_rows(torch_embedder: Embedder) -> None:
    assert torch_embedder.embed([]).shape == (0, torch_embedder.dimension)


def test_the_vectors_of_the_two_engines_carry_different_names(
    torch_embedder: Embedder, onnx_embedder: Embedder
) -> None:
    assert torch_embedder.model_id != onnx_embedder.model_id
    assert torch_embedder.dimension == onnx_embedder.dimension
