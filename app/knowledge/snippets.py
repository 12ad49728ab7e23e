"""Snippets: the place of a text that answers a query best, as HTML that is safe to show.

Everything is escaped; the only tags are `<mark>` and `</mark>`.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from app.knowledge.terms import fold, spans_of, stem, terms_of

WIDTH = 240
"""Characters of a snippet, marks and ellipses aside."""
PLACES_MAX = 100
"""Places looked at of one term: words that are everywhere decide nothing."""
TERMS_MAX = 16
SLOW_READ_CHARS = 100_000
"""Characters read word by word when a term cannot be found by its letters (accents, ligatures)."""
_BEYOND_ASCII = re.compile(r"[^\W_]*[^\W\x00-\x7f][^\W_]*")
_SPACE = re.compile(r"\s+")
_ELLIPSIS = "…"


def snippet_of(text: str, terms: Sequence[str], *, width: int = WIDTH) -> str:
    """The stretch of `width` characters with most of the terms (rare ones count more), each marked.

    `terms` are those of the query, in its order, so that a phrase of them is preferred. Without a match: the
    beginning of the text.
    """
    distinct = list(dict.fromkeys(terms))[:TERMS_MAX]
    places = _places(text, distinct)
    centre = _best_centre(places, width=width)
    if centre is None:
        return excerpt_of(text, width=width)
    start = max(0, centre - width // 4)
    return marked(text, set(terms), start=start, stop=start + width)


def excerpt_of(text: str, *, width: int = WIDTH) -> str:
    """The beginning of the text."""
    return marked(text, frozenset(), start=0, stop=width)


def marked(text: str, terms: Iterable[str], *, start: int, stop: int) -> str:
    """The text from about `start` to about `stop`, cut between words, white space as one space, terms marked."""
    start, stop = _between_words(text, start), _between_words(text, stop)
    window = text[start:stop]
    wanted = set(terms)
    pieces, end = [], 0
    for first, last in spans_of(window):
        if stem(fold(window[first:last])) in wanted or (
            not window[first:last].isascii() and _all_in(window[first:last], wanted)
        ):
            pieces += [escape(window[end:first]), "<mark>", escape(window[first:last]), "</mark>"]
            end = last
    pieces.append(escape(window[end:]))
    shown = _SPACE.sub(" ", "".join(pieces)).strip().replace("</mark> <mark>", " ").replace("</mark><mark>", "")
    before = _ELLIPSIS if text[:start].strip() else ""
    return before + shown + (_ELLIPSIS if text[stop:].strip() else "")


def _all_in(word: str, wanted: set[str]) -> bool:
    """A word that folding takes apart (a ligature of two words, say)."""
    terms = terms_of(word)
    return bool(terms) and wanted.issuperset(terms)


def _between_words(text: str, at: int) -> int:
    """The nearest place at or before `at`, within 40 characters, where no word is cut."""
    if at <= 0 or at >= len(text):
        return min(max(at, 0), len(text))
    space = (
        max(text.rfind(" ", at - 40, at), text.rfind("\n", max(at - 40, 0), at)) if at > 40 else text.rfind(" ", 0, at)
    )
    return at if space < 0 else space + 1


def _places(text: str, terms: Sequence[str]) -> list[tuple[int, str, float]]:
    """(offset, term, weight) of the terms in the text, by offset. Found by letters first, which is fast."""
    lowered = text.lower()
    comparable = len(lowered) == len(text)
    found: list[tuple[int, str, float]] = []
    slow = []
    for term in terms:
        places = _find(lowered, term) if comparable else []
        if not places and not text.isascii():
            slow.append(term)
        found += [(place, term, _weight(places)) for place in places]
    if slow:
        found += _read(text[:SLOW_READ_CHARS], set(slow))
    return sorted(found)


def _find(lowered: str, term: str) -> list[int]:
    """Where words with this stem begin: Porter2 ends a stem in `i` or drops an `e` where words differ."""
    letters = term[:-1] if len(term) > 2 and term.endswith("i") else term
    places: list[int] = []
    at = lowered.find(letters)
    tries = 0
    while at >= 0 and len(places) < PLACES_MAX and tries < PLACES_MAX * 20:
        tries += 1
        if at == 0 or not lowered[at - 1].isalnum() or not letters.isascii():
            end = at + len(letters)
            while end < len(lowered) and end - at < 40 and lowered[end].isalnum():
                end += 1
            if not letters.isascii() or stem(lowered[at:end]) == term:
                places.append(at)
        at = lowered.find(letters, at + len(letters))
    return places


def _read(text: str, terms: set[str]) -> list[tuple[int, str, float]]:
    """The places of terms in words that only folding makes equal; words of ASCII were found by their letters."""
    places: dict[str, list[int]] = {term: [] for term in terms}
    for word in _BEYOND_ASCII.finditer(text):
        for term in terms_of(word.group()):
            if term in places and len(places[term]) < PLACES_MAX:
                places[term].append(word.start())
    return [(place, term, _weight(found)) for term, found in places.items() for place in found]


def _weight(places: Sequence[int]) -> float:
    """A word that is everywhere is known at its first places only: it must not draw the snippet there."""
    return 1.0 / math.sqrt(len(places))


def _best_centre(places: Sequence[tuple[int, str, float]], *, width: int) -> int | None:
    """The first place from which `width * 3 / 4` characters hold the most weight of distinct terms."""
    best: tuple[float, int] | None = None
    offsets = [place for place, _, _ in places]
    for index, (place, _, _) in enumerate(places):
        within = places[index : bisect.bisect_left(offsets, place + width * 3 // 4)]
        score = sum({term: weight for _, term, weight in within}.values())
        if best is None or score > best[0]:
            best = (score, place)
    return None if best is None else best[1]
