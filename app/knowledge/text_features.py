"""Text features: the terms of a text, weighted by TF-IDF over a vocabulary that was learnt.

Weights are (1 + ln tf) · (ln((1 + n) / (1 + df)) + 1), made unit length: `ltc` weighting of Salton & Buckley,
"Term-weighting approaches in automatic text retrieval", IPM 24 (1988), with document counts smoothed by one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.knowledge.terms import terms_of

Floats = NDArray[np.float32]

TEXT_CHARS_MAX = 20_000
"""Of the beginning of a text: what it is about is said there, and reading more would cost more than it tells."""
VOCABULARY_MAX = 2_000
DOCUMENTS_MIN = 2
DOCUMENT_SHARE_MAX = 0.5
"""A term of one document says nothing of another; one of more than half of them says nothing of any."""


def counted_terms(text: str) -> Counter[str]:
    """How often the beginning of a text has each term; numbers and single letters are none."""
    return Counter(term for term in terms_of(text[:TEXT_CHARS_MAX]) if len(term) > 1 and not term.isdigit())


class Vocabulary:
    """Terms and the weight of each for being rare: `rarity` (terms,)."""

    def __init__(self, *, terms: Sequence[str], rarity: Floats) -> None:
        self.terms = tuple(terms)
        self.rarity = rarity
        self._places = {term: place for place, term in enumerate(self.terms)}

    def __len__(self) -> int:
        return len(self.terms)

    def weights(self, counted: Counter[str]) -> Floats:
        """(terms,), of unit length, or zeros for a text without any of them."""
        row = np.zeros(len(self.terms), dtype=np.float32)
        for term, count in counted.items():
            place = self._places.get(term)
            if place is not None:
                row[place] = (1.0 + math.log(count)) * self.rarity[place]
        length = float(np.linalg.norm(row))
        return row / np.float32(length) if length else row


def learn_vocabulary(texts: Sequence[Counter[str]]) -> Vocabulary:
    """The terms that most texts have, of those that tell texts apart."""
    documents = Counter(term for counted in texts for term in counted)
    most = max(DOCUMENTS_MIN, DOCUMENT_SHARE_MAX * len(texts))
    telling = [(term, count) for term, count in documents.items() if DOCUMENTS_MIN <= count <= most]
    chosen = sorted(telling, key=lambda pair: (-pair[1], pair[0]))[:VOCABULARY_MAX]
    rarity = [math.log((1 + len(texts)) / (1 + count)) + 1.0 for _, count in chosen]
    return Vocabulary(terms=tuple(term for term, _ in chosen), rarity=np.array(rarity, dtype=np.float32))
