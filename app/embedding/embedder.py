"""Embedder: texts as vectors whose inner product says how near they are in meaning."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from app.errors import SettingsError
from app.settings import Settings, get_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """One model. Safe to share between threads, not through a fork."""

    @property
    def model_id(self) -> str:
        """Stored beside each vector; vectors of two ids are never compared."""

    @property
    def dimension(self) -> int:
        """The length of every vector."""

    def passages(self, text: str) -> list[str]:
        """Cut `text` into pieces that `embed` reads whole, at most `EMBEDDING_MAX_PASSAGES` of them.

        Cuts fall on paragraph or sentence borders where there are any. A longer text is covered by pieces
        spread evenly from its beginning to its end; what lies between them is left out. Blank text has none.
        """

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension), rows in the order of `texts`, each of unit length.

        What a text has beyond the model's length is not read: long texts go through `passages` first.
        """


def open_embedder(settings: Settings) -> Embedder:
    """Load the engine that `EMBEDDING_ENGINE` names; about half a second for `onnx`.

    `SettingsError` when its extra is not installed, `ModelMismatch` when its files are not the known ones.
    Each engine is imported here only, so that a process without an embedder does not pay for one.
    """
    threads, max_passages = settings.embedding_threads, settings.embedding_max_passages
    if settings.embedding_engine == "hashing":
        from app.embedding.hashing import HashingEmbedder  # noqa: PLC0415

        return HashingEmbedder(max_passages=max_passages)
    if settings.embedding_engine == "sentence-transformers":
        try:
            from app.embedding.sentence_transformers_engine import SentenceTransformersEmbedder  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"EMBEDDING_ENGINE: sentence-transformers needs the extra of that name ({error.name} is not installed)"
            ) from error
        return SentenceTransformersEmbedder(threads=threads, max_passages=max_passages)
    from app.embedding.onnx import OnnxEmbedder  # noqa: PLC0415

    return OnnxEmbedder(threads=threads, max_passages=max_passages)


class _ProcessEmbedder:
    """The embedder of this process, loaded at its first use, and again in each forked child that uses it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._embedder: Embedder | None = None
        self._inherited: list[Embedder] = []
        os.register_at_fork(after_in_child=self._after_fork)

    def get(self) -> Embedder:
        with self._lock:
            if self._embedder is None:
                self._embedder = open_embedder(get_settings())
            return self._embedder

    def _after_fork(self) -> None:
        """Start anew: the threads of a model, and whoever held the lock, stayed in the parent."""
        self._lock = Lock()
        if self._embedder is not None:
            # Kept, never used: taking a model down would wait for threads that are not here.
            self._inherited.append(self._embedder)
            self._embedder = None


_process_embedder = _ProcessEmbedder()


def get_embedder() -> Embedder:
    """The embedder of this process: one per process, whatever thread asks, after a fork too."""
    return _process_embedder.get()
