"""Text into terms."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.terms import TERM_LENGTH_MAX, spans_of, stem, terms_of, words_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running runs RUN", ["run", "run", "run"]),
        ("os.path.join(a1, b_2)", ["os", "path", "join", "a1", "b", "2"]),
        ("eﬃcient ﬁnding", ["effici", "find"]),
        ("Gödel's naïveté", ["godel", "s", "naivet"]),
        ("\uff13.11 ≠ x²", ["3", "11", "x2"]),
        ("全文検索 full", ["全", "文", "検", "索", "full"]),
        ("안녕 하세요", ["안", "녕", "하", "세", "요"]),
        ("ΑΘΗΝΑΣ Ёлка", ["αθηνασ", "елка"]),
        ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
        ("don't, well-known", ["don", "t", "well", "known"]),
        ("", []),
    ],
)
def test_text_is_split_folded_and_stemmed(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


@given(st.text())
def test_a_term_is_letters_and_digits_of_bounded_length(text: str) -> None:
    assert all(term.isalnum() and len(term) <= TERM_LENGTH_MAX for term in terms_of(text))


@given(st.text())
def test_terms_read_again_are_the_same_words(text: str) -> None:
    words = words_of(text)

    assert words_of(" ".join(words)) == words


@given(st.text())
def test_spans_are_words_as_written(text: str) -> None:
    assert all(text[start:stop].strip() for start, stop in spans_of(text))


def test_stems_are_right_in_many_threads_at_once() -> None:
    words = [f"{'ab' * (number % 7)}running{suffix}" for number in range(2000) for suffix in ("", "s", "ness")]
    stem.cache_clear()
    alone = [stem(word) for word in words]
    stem.cache_clear()

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(stem, words))

    assert together == alone
