"""Passages: a text cut into pieces that an embedding model can read whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

SENTENCE_ENDS = frozenset(".!?:;…。")
# A generous width: English text has about 4.5 characters a token, source code about 3.
CHARS_PER_TOKEN = 6


class Word(NamedTuple):
    """A place where text may be cut: before `start`. `tokens` is what the word costs the model."""

    start: int
    end: int
    tokens: int


def split_passages(
    text: str, *, words: Callable[[str], list[Word]], tokens_per_passage: int, max_passages: int
) -> list[str]:
    """Cut `text` into at most `max_passages` pieces of at most `tokens_per_passage` tokens each.

    A cut falls on the last paragraph border of the second half of a full piece, else on its last
    sentence border, else between two words. Nothing is lost but the white space at the cuts, unless
    there would be more than `max_passages`: then as many pieces are taken, spread evenly from the
    beginning to the end, and the text between them is left out. Blank text has no passages.
    """
    if len(text) > max_passages * tokens_per_passage * CHARS_PER_TOKEN:
        return _sample(text, words=words, tokens_per_passage=tokens_per_passage, max_passages=max_passages)
    pieces = _pack(text, words(text), tokens_per_passage)
    if len(pieces) <= max_passages:
        return pieces
    return [pieces[index * len(pieces) // max_passages] for index in range(max_passages)]


def _sample(text: str, *, words: Callable[[str], list[Word]], tokens_per_passage: int, max_passages: int) -> list[str]:
    """One passage from each of `max_passages` equal stretches: the cost does not grow with the text."""
    sampled = []
    for number in range(max_passages):
        at = number * len(text) // max_passages
        window = _window(text, at=at, width=tokens_per_passage * CHARS_PER_TOKEN)
        sampled.extend(_pack(window, words(window), tokens_per_passage)[:1])
    return sampled


def _window(text: str, *, at: int, width: int) -> str:
    """`width` characters from the first paragraph, sentence or word that begins after `at`."""
    window = text[at : at + width]
    if at == 0:
        return window
    for border in ("\n", ". ", " "):
        place = window.find(border, 0, width // 2)
        if place >= 0:
            return window[place + len(border) :]
    return window


def _pack(text: str, words: list[Word], budget: int) -> list[str]:
    pieces: list[str] = []
    left = sum(word.tokens for word in words)
    first = 0
    while first < len(words):
        after = _cut(text, words, first, budget=budget, left=left)
        end = words[after].start if after < len(words) else len(text)
        pieces.append(text[words[first].start : end].strip())
        left -= sum(word.tokens for word in words[first:after])
        first = after
    return pieces


def _cut(text: str, words: list[Word], first: int, *, budget: int, left: int) -> int:
    """The index of the word that begins the next piece (`len(words)` when the rest fits in this one)."""
    if left <= budget:
        return len(words)
    # The last two pieces share what is left, so that no text ends in a piece of a few words.
    room = min(budget, left * 2 // 3)
    after = first + 1
    used = words[first].tokens
    while used + words[after].tokens <= room:
        used += words[after].tokens
        after += 1
    middle = first + (after - first + 1) // 2
    return max(range(middle, after + 1), key=lambda index: (_border_strength(text, words, index), index))


def _border_strength(text: str, words: list[Word], index: int) -> int:
    """3 between paragraphs, 2 between sentences, 1 between words, 0 inside one (`don|'t`)."""
    end = words[index - 1].end
    gap = text[end : words[index].start]
    if "\n" in gap:
        return 3
    if not gap:
        return 0
    return 2 if text[end - 1] in SENTENCE_ENDS else 1
