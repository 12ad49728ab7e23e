"""Text profile: what every dimension of quality counts in a text, counted once and in linear time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from app.knowledge.function_words import FUNCTION_WORDS
from app.knowledge.terms import stem, words_of

HEADING_WORDS_MAX = 12
HEADING_CHARS_MAX = 100
PASSAGE_WORDS_MIN = 8
"""Words of a line that is a passage of running text rather than a heading, a menu entry or a cell."""
LANGUAGE_SHARE_MIN = 0.1
"""Share of function words below which a text is not told to be in any language."""
_NO_HEADING_ENDS = frozenset(".,;:!?)]}\"'")


@dataclass(frozen=True)
class TextProfile:
    """Counts over one text; equal texts have equal profiles."""

    text: str

    @cached_property
    def words(self) -> list[str]:
        """Folded words in order."""
        return words_of(self.text)

    @cached_property
    def word_counts(self) -> Counter[str]:
        """How often each folded word occurs."""
        return Counter(self.words)

    @cached_property
    def _words_by_beginning(self) -> dict[str, list[str]]:
        words: dict[str, list[str]] = {}
        for word in self.word_counts:
            words.setdefault(word[:2], []).append(word)
        return words

    def count_of(self, stemmed: str) -> int:
        """How often words of this stem occur. Only words that begin alike are stemmed: a stem keeps its beginning."""
        alike = self._words_by_beginning.get(stemmed[:2], [])
        return sum(self.word_counts[word] for word in alike if stem(word) == stemmed)

    @cached_property
    def lines(self) -> list[str]:
        """Lines with text, stripped."""
        return [stripped for line in self.text.splitlines() if (stripped := line.strip())]

    @cached_property
    def headings(self) -> int:
        """Short lines without an end mark that begin like a title and stand over a passage."""
        pairs = zip(self.lines, self.lines[1:], strict=False)
        return sum(_is_heading(line) and len(following.split()) >= PASSAGE_WORDS_MIN for line, following in pairs)

    @cached_property
    def function_word_shares(self) -> dict[str, float]:
        """Share of all words that are function words, by language."""
        total = max(1, len(self.words))
        return {
            language: sum(self.word_counts[word] for word in words) / total
            for language, words in FUNCTION_WORDS.items()
        }

    @cached_property
    def language(self) -> str | None:
        """The language whose function words are most frequent, or None."""
        language, share = max(self.function_word_shares.items(), key=lambda item: item[1])
        return language if share >= LANGUAGE_SHARE_MIN else None

    def per_thousand_words(self, count: float) -> float:
        """`count` as a rate per 1000 words."""
        return 1000 * count / max(1, len(self.words))


def content_stems(text: str, *, language: str | None = None) -> set[str]:
    """Stems of the words of a title or subject that are not function words (English unless told)."""
    function_words = FUNCTION_WORDS.get(language or "en", FUNCTION_WORDS["en"])
    return {stem(word) for word in words_of(text) if word not in function_words}


def _is_heading(line: str) -> bool:
    if len(line) > HEADING_CHARS_MAX or line[-1] in _NO_HEADING_ENDS:
        return False
    begins_like_one = line[0].isupper() or line[0].isdigit() or line[0] == "#"
    return begins_like_one and len(line.split()) <= HEADING_WORDS_MAX
