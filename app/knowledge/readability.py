"""Readability: how hard a text is to read, by published formulas over words, sentences and syllables.

Reading ease is Flesch, "A new readability yardstick", J. Applied Psychology 32 (1948), for English, and
its published adaptations: German (Amstad 1978), French (Kandel & Moles 1958), Spanish (Fernández Huerta
1959), Italian (Franchina & Vacca 1986), Dutch (Douma 1960). The grade is Kincaid et al., "Derivation of
new readability formulas", US Navy report 8-75 (1975).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import pyphen

SYLLABLE_LETTERS_MAX = 32
"""Letters of a word that are looked at: longer runs are not words."""
SAMPLE_WORDS = 10_000
"""Words whose syllables are counted, evenly spaced: a megabyte of unlike words would take 4 s instead of 0.4 s."""

_WORD = re.compile(r"[^\W\d_]+")
_VOWELS = re.compile(r"[aeiouyà-öø-ÿœæ]+")
_SILENT_E = re.compile(r"[^aeiouyl]e$|[^aeiouytd]ed$")
_SENTENCE_END = re.compile(r"[.!?…。！？](?=\s|\Z)")  # noqa: RUF001  # full-width marks end sentences too

_EASE: dict[str, tuple[float, float, float]] = {
    "en": (206.835, 1.015, 84.6),
    "de": (180.0, 1.0, 58.5),
    "es": (206.84, 1.02, 60.0),
    "fr": (207.0, 1.015, 73.6),
    "it": (217.0, 1.3, 60.0),
    "nl": (206.84, 0.93, 77.0),
}
"""Language: constant, weight of words a sentence, weight of syllables a word."""

_DICTIONARY = {"en": "en_US", "de": "de_DE", "es": "es", "fr": "fr", "it": "it_IT", "nl": "nl_NL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readability:
    """`ease`: 100 very easy, 0 very hard, unbounded on both sides; `grade`: years of school."""

    words: int
    sentences: int
    syllables: int
    ease: float
    grade: float


def readability_of(text: str, *, language: str | None = None) -> Readability | None:
    """The readability of a text in `language` (ISO 639-1, else English is assumed); None without words."""
    words = _WORD.findall(text)
    if not words:
        return None
    known = language if language in _EASE else "en"
    sentences = max(1, len(_SENTENCE_END.findall(text)))
    sample = words[:: -(-len(words) // SAMPLE_WORDS)]
    syllables_a_word = sum(syllables_of(word.lower(), language=known) for word in sample) / len(sample)
    words_a_sentence = len(words) / sentences
    base, per_sentence, per_word = _EASE[known]
    return Readability(
        words=len(words),
        sentences=sentences,
        syllables=round(syllables_a_word * len(words)),
        ease=base - per_sentence * words_a_sentence - per_word * syllables_a_word,
        grade=0.39 * words_a_sentence + 11.8 * syllables_a_word - 15.59,
    )


@lru_cache(maxsize=65_536)
def syllables_of(word: str, *, language: str = "en") -> int:
    """Syllables of a lower-case word, at least 1.

    The greater of its hyphenation points plus one and its groups of vowels (silent English endings apart):
    dictionaries leave out points near the ends of a word, and vowels that meet may be two syllables.
    """
    word = word[:SYLLABLE_LETTERS_MAX]
    vowel_groups = len(_VOWELS.findall(word))
    if language == "en" and vowel_groups > 1 and _SILENT_E.search(word):
        vowel_groups -= 1
    return max(1, vowel_groups, len(_dictionary(language).positions(word)) + 1)


@lru_cache(maxsize=len(_DICTIONARY))
def _dictionary(language: str) -> pyphen.Pyphen:
    return pyphen.Pyphen(lang=_DICTIONARY.get(language, "en_US"), left=1, right=1)
