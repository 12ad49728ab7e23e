"""Texts of a made language: as in a natural one, the word of rank r is as frequent as 1 / r (Zipf's law)."""

from __future__ import annotations

import random
from functools import cache
from itertools import accumulate
from typing import Final

import numpy as np

VOCABULARY: Final = 50_000
STOP_WORDS: Final = 100
"""The most frequent words, which are in every text: nobody asks for them."""
SENTENCE: Final = 12


def words_at(seed: int, number: int, *, count: int) -> list[str]:
    """The words of text `number`, the same for the same seed."""
    drawn = np.random.default_rng((seed, number)).random(count)
    return [vocabulary()[rank] for rank in np.searchsorted(_up_to(), drawn)]


def text_of(words: list[str]) -> str:
    """Sentences of a dozen words."""
    parts = (words[start : start + SENTENCE] for start in range(0, len(words), SENTENCE))
    return " ".join(" ".join(part).capitalize() + "." for part in parts)


@cache
def vocabulary() -> list[str]:
    """The most frequent word first; all are different, and pronounceable."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprtv" for vowel in "aeiou"]
    chosen, found = random.Random("vocabulary"), dict[str, None]()
    while len(found) < VOCABULARY:
        found["".join(chosen.choices(syllables, k=chosen.choice((2, 3, 3, 4)))) + chosen.choice(("", "n", "k"))] = None
    return list(found)


@cache
def stop_words() -> frozenset[str]:
    """See `STOP_WORDS`."""
    return frozenset(vocabulary()[:STOP_WORDS])


@cache
def _up_to() -> np.ndarray:
    """How often a word of this rank or a more frequent one is drawn."""
    sums = np.array(list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1))))
    return np.asarray(sums / sums[-1])
