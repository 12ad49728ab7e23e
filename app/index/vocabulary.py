"""Vocabulary: the words that were ever indexed, and the near one that a person may have meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.index.upserting import insert_into
from app.knowledge.query_grammar import Query
from app.knowledge.terms import fold, spans_of, stem, words_of
from app.models.search import SearchWord

CANDIDATES_MAX = 20_000
"""Words compared with one unknown word: bounds the time of a suggestion (rapidfuzz: about 5 ms)."""
UNKNOWN_MAX = 4
"""Unknown words of one query that are looked up."""
_FINALISTS = 5
_WORD = re.compile(r"[^\W\d_]{3,32}")
_SLICE = 5_000


def vocabulary_of(texts: Iterable[str]) -> list[str]:
    """The distinct words of these texts, in order, so that two writers never wait for each other in a circle."""
    return sorted({word for text in texts for word in words_of(text) if _WORD.fullmatch(word)})


def remember(session: Session, words: Sequence[str]) -> None:
    """Add what `vocabulary_of` gave."""
    for start in range(0, len(words), _SLICE):
        piece = words[start : start + _SLICE]
        known = set(session.scalars(select(SearchWord.word).where(SearchWord.word.in_(piece))))
        new = [{"word": word, "size": len(word)} for word in piece if word not in known]
        if new:
            statement: Any = insert_into(session, SearchWord).on_conflict_do_nothing()
            session.execute(statement, new)


def corrected(session: Session, query: Query, text: str, documents_with: Callable[[str], int]) -> str | None:
    """The text with each wanted word that no document has replaced by the nearest one that some document has."""
    wanted = {term for clause in query.wanted for term in clause.terms}
    replaced: dict[str, str] = {}
    for term_of_unknown in sorted(wanted)[: UNKNOWN_MAX * 4]:
        if len(replaced) < UNKNOWN_MAX and not documents_with(term_of_unknown):
            replaced[term_of_unknown] = ""
    pieces: list[str] = []
    end, changed = 0, False
    for start, stop in spans_of(text):
        word = fold(text[start:stop])
        if stem(word) in replaced and (better := _nearest(session, word, documents_with)):
            pieces.extend((text[end:start], better))
            end, changed = stop, True
    return "".join((*pieces, text[end:])) if changed else None


def _nearest(session: Session, word: str, documents_with: Callable[[str], int]) -> str | None:
    """By optimal string alignment distance (a swap is one edit), then by how many documents have it."""
    if not _WORD.fullmatch(word):
        return None
    allowed = 1 if len(word) < 5 else 2
    from rapidfuzz.distance import OSA  # noqa: PLC0415 — only a search that finds nothing needs it

    scored = ((OSA.distance(word, other, score_cutoff=allowed), other) for other in _similar(session, word, allowed))
    near = sorted(pair for pair in scored if 0 < pair[0] <= allowed)[: _FINALISTS * 4]
    best = near[0][0] if near else 0
    counted = [(distance, -documents_with(stem(other)), other) for distance, other in near if distance == best]
    found = [candidate for candidate in counted if candidate[1] < 0]
    return min(found)[2] if found else None


def _similar(session: Session, word: str, allowed: int) -> Iterable[str]:
    """Words of about this size that begin with its first or its second letter."""
    letters = dict.fromkeys(word[:2])
    begins = or_(*(and_(SearchWord.word >= letter, SearchWord.word < letter + "\U0010ffff") for letter in letters))
    size = SearchWord.size.between(len(word) - allowed, len(word) + allowed)
    return session.scalars(select(SearchWord.word).where(begins, size).limit(CANDIDATES_MAX))
