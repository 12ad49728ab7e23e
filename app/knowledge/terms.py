"""Terms: the one reading of text into searchable terms that both search engines index and both are asked with.

Splitting, folding and stemming happen here and nowhere in an engine, so a phrase means the same on SQLite
and on PostgreSQL. A term is letters and digits only: no engine can take it for syntax.

- Folding: Unicode NFKC (ligatures, full-width forms), case folding, Latin accents dropped, soft hyphens and
  zero-width characters dropped.
- Splitting: runs of letters and digits; everything else separates (`os.path.join` is three terms in a row,
  and so is the query `os.path.join`). Scripts written without spaces are split into single characters.
- Stemming: English Snowball (Porter2) on words of ASCII letters, whatever the language of the text: what is
  done to the text is done to the query as well.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import snowballstemmer

TERM_LENGTH_MAX = 64
"""Characters kept of one term: longer runs are encoded data, and both sides are cut alike."""

# Thai, Lao, Myanmar, Khmer, kana, Han (with extensions) and Hangul: words are not told apart by spaces.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"(?!\W)[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_STEMMABLE = re.compile(r"[a-z]{3,}")
_stemmers = threading.local()


def fold(text: str) -> str:
    """The text with differences that nobody searches for removed. Length and offsets may change."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", folded)))


def words_of(text: str) -> list[str]:
    """Folded words in order, not stemmed: what a vocabulary is made of."""
    return [word[:TERM_LENGTH_MAX] for word in _WORD.findall(fold(text))]


def terms_of(text: str) -> list[str]:
    """Folded, stemmed terms in order: what is indexed and what is asked for."""
    return [stem(word) for word in words_of(text)]


def spans_of(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each word in the text as it is written."""
    for found in _WORD.finditer(text):
        yield found.span()


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a folded word; a word that is not of ASCII letters stays as it is."""
    if not _STEMMABLE.fullmatch(word):
        return word
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:  # a stemmer keeps the word it works on: one a thread
        stemmer = _stemmers.english = snowballstemmer.stemmer("english")
    return str(stemmer.stemWord(word))
