"""The texts that searches are measured on: the same for the same seed, and as uneven as a natural language."""

from __future__ import annotations

from collections import Counter

from bench.searching import questions
from bench.shelves import TITLE_WORDS, WORDS
from bench.texts import VOCABULARY, stop_words, text_of, vocabulary, words_at


def test_the_seed_and_the_number_decide_a_text() -> None:
    assert words_at(7, 1, count=50) == words_at(7, 1, count=50)
    assert words_at(7, 1, count=50) != words_at(7, 2, count=50)
    assert words_at(7, 1, count=50) != words_at(8, 1, count=50)
    assert len(set(vocabulary())) == VOCABULARY


def test_the_word_of_rank_ten_is_a_tenth_as_frequent_as_the_first() -> None:
    seen = Counter(words_at(7, 0, count=200_000))
    first, tenth = vocabulary()[0], vocabulary()[9]
    assert 8 < seen[first] / seen[tenth] < 12.5
    assert 0.07 < seen[first] / seen.total() < 0.1  # 1 / (1 + 1/2 + … + 1/50000) = 0.088


def test_a_text_is_made_of_sentences_of_its_words() -> None:
    text = text_of(words_at(7, 0, count=30))
    assert text.count(".") == 3
    assert text.lower().replace(".", "").split() == words_at(7, 0, count=30)


def test_every_question_is_answered_by_a_document_and_none_is_of_stop_words() -> None:
    documents = [set(words_at(7, number, count=TITLE_WORDS + WORDS)) for number in range(10)]
    asked = questions(7, 1, documents=10, count=40)
    assert all(any(set(one.split()) <= words for words in documents) for one in asked)
    assert {len(one.split()) for one in asked} == {1, 2, 3}
    assert stop_words().isdisjoint(" ".join(asked).split())
    assert questions(7, 2, documents=10, count=40) != asked
