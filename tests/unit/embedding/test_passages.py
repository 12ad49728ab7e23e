from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedding.passages import Word, split_passages
from app.embedding.wordpieces import MAX_TOKENS, Wordpieces
from tests.semantic_questions import load_semantic_questions, page_text


def words(text: str) -> list[Word]:
    return [Word(start=found.start(), end=found.end(), tokens=1) for found in re.finditer(r"\w+|[^\w\s]", text)]


def split(text: str, *, tokens: int = 10, most: int = 1000) -> list[str]:
    return split_passages(text, words=words, tokens_per_passage=tokens, max_passages=most)


@pytest.fixture(scope="module")
def wordpieces() -> Wordpieces:
    return Wordpieces()


@pytest.mark.parametrize("text", ["", " ", "\n\t \n"])
def test_blank_text_has_no_passages(text: str, wordpieces: Wordpieces) -> None:
    assert split(text) == []
    assert wordpieces.passages(text, max_passages=8) == []


def test_a_text_that_fits_is_one_passage() -> None:
    assert split("  One two.\n\nThree four.  ") == ["One two.\n\nThree four."]


def test_a_paragraph_border_is_preferred_to_a_later_sentence_border() -> None:
    text = "a b c d e f\ng h. i j k l m n o p q r s t u v w x y z"
    assert split(text)[0] == "a b c d e f"


def test_a_sentence_border_is_preferred_to_a_later_word_border() -> None:
    text = "a b c d e f. g h i j k l m n o p q r s t u v w x y z"
    assert split(text)[0] == "a b c d e f."


def test_the_last_passage_is_not_a_crumb() -> None:
    lengths = [len(words(piece)) for piece in split("word " * 21)]
    assert sum(lengths) == 21
    assert min(lengths) >= 3


@given(text=st.text(alphabet=st.sampled_from("ab.,'\n é\u0301漢"), max_size=400), tokens=st.integers(2, 20))
def test_passages_hold_the_whole_text_in_order_and_fit(text: str, tokens: int) -> None:
    pieces = split(text, tokens=tokens)
    kept = "".join("".join(pieces).split())
    start = words(text)[0].start if words(text) else len(text)
    assert kept == "".join(text[start:].split())
    assert all(1 <= len(words(piece)) <= tokens for piece in pieces)


@pytest.mark.parametrize("length", [2_000, 200_000])
def test_a_longer_text_is_sampled_evenly_from_beginning_to_end(length: int) -> None:
    text = " ".join(f"w{number}" for number in range(length))
    pieces = split(text, tokens=20, most=8)
    firsts = [int(piece.split()[0][1:]) for piece in pieces]
    assert len(pieces) == 8
    assert firsts == sorted(firsts)
    gaps = [after - before for before, after in pairwise(firsts)]
    assert firsts[0] == 0
    assert all(0.8 * length / 8 <= gap <= 1.25 * length / 8 for gap in gaps)


def test_passages_of_real_pages_fit_the_model_and_lose_nothing(wordpieces: Wordpieces) -> None:
    for question in load_semantic_questions()[::8]:
        text = page_text(question.path)
        pieces = wordpieces.passages(text, max_passages=1000)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        counts = [sum(word.tokens for word in wordpieces.words(piece)) + 2 for piece in pieces]
        assert max(counts) <= MAX_TOKENS
        assert [len(wordpieces.ids(piece)) for piece in pieces] == counts


@given(text=st.text(max_size=3000))
def test_no_text_breaks_the_tokenizer(text: str) -> None:
    pieces = TOKENIZER.passages(text, max_passages=4)
    assert len(pieces) <= 4
    assert all(2 <= len(TOKENIZER.ids(piece)) <= MAX_TOKENS for piece in pieces)


def test_a_lone_surrogate_is_read_as_one_unknown_character(wordpieces: Wordpieces) -> None:
    assert wordpieces.ids("a \ud800 b") == wordpieces.ids("a ? b")
    assert wordpieces.passages("a \ud800 b", max_passages=4) == ["a \ud800 b"]


TOKENIZER = Wordpieces()
