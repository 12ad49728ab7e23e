"""Hashing engine: words and word pairs counted in hashed places; no model, for tests that need no meaning."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.embedding import model_ids
from app.embedding.passages import Word, split_passages

WORD = re.compile(r"\w+|[^\w\s]")
TOKENS_PER_PASSAGE = 254


class HashingEmbedder:
    """Texts that share words are near each other; the same text has the same vector in every process."""

    model_id: Final = model_ids.HASHING
    dimension: Final = 384

    def __init__(self, *, max_passages: int) -> None:
        self._max_passages = max_passages

    def passages(self, text: str) -> list[str]:
        """See `Embedder.passages`; a token is a word or a punctuation mark."""
        return split_passages(
            text, words=_words, tokens_per_passage=TOKENS_PER_PASSAGE, max_passages=self._max_passages
        )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`; a text without a word lies on the first axis."""
        counts = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(counts, texts, strict=True):
            words = [match.group() for match in WORD.finditer(text.casefold())]
            features = words + [f"{left} {right}" for left, right in pairwise(words)]
            places = [zlib.crc32(feature.encode("utf-8", "replace")) % self.dimension for feature in features]
            np.add.at(row, places or [0], 1)
        unit: NDArray[np.float32] = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit


def _words(text: str) -> list[Word]:
    return [Word(start=match.start(), end=match.end(), tokens=1) for match in WORD.finditer(text)]
