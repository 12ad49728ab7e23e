from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.readability import readability_of, syllables_of

EASY = "The cat sat on the mat. The dog ran to the door. We saw a red hen."
HARD = (
    "Notwithstanding considerable methodological heterogeneity, contemporary epidemiological investigations "
    "consistently demonstrate statistically significant associations between environmental determinants and morbidity."
)


@pytest.mark.parametrize(
    ("word", "syllables"),
    [("the", 1), ("python", 2), ("again", 2), ("table", 2), ("made", 1), ("documentation", 5), ("readability", 5)],
)
def test_syllables_of_common_words(word: str, syllables: int) -> None:
    assert syllables_of(word) == syllables


def test_flesch_and_kincaid_are_the_published_formulas() -> None:
    found = readability_of("The cat sat. The dog ran.")

    assert found is not None
    assert (found.words, found.sentences, found.syllables) == (6, 2, 6)
    assert found.ease == pytest.approx(206.835 - 1.015 * 3 - 84.6 * 1)
    assert found.grade == pytest.approx(0.39 * 3 + 11.8 * 1 - 15.59)


def test_hard_prose_scores_harder_than_easy_prose() -> None:
    easy, hard = readability_of(EASY), readability_of(HARD)

    assert easy is not None
    assert hard is not None
    assert easy.ease > 90
    assert hard.ease < 0
    assert easy.grade < 3
    assert hard.grade > 16


def test_each_language_has_its_own_formula() -> None:
    text = "Die Katze sitzt auf der Matte. Der Hund liegt vor der Tür."

    german, english = readability_of(text, language="de"), readability_of(text, language="en")

    assert german is not None
    assert english is not None
    assert german.ease != english.ease


def test_a_long_text_is_sampled_to_the_same_result() -> None:
    short, long = readability_of(EASY), readability_of(f"{EASY} " * 3001)

    assert short is not None
    assert long is not None
    assert long.ease == pytest.approx(short.ease, abs=3)


@pytest.mark.parametrize("text", ["", " \n", "123 456", "...!?"])
def test_a_text_without_words_has_no_readability(text: str) -> None:
    assert readability_of(text) is None


@given(text=st.text(st.characters()), language=st.sampled_from(["en", "de", "fr", "xx", "", None]))
def test_any_text_can_be_read(text: str, language: str | None) -> None:
    found = readability_of(text, language=language)

    assert found is None or (found.words >= 1 and found.sentences >= 1 and found.syllables >= 1)
