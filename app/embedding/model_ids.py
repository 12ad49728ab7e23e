"""Model ids: what each engine's vectors are stored under, known without loading the engine."""

from __future__ import annotations

from typing import Final

ONNX: Final = "all-MiniLM-L6-v2/onnx-int8/2"
SENTENCE_TRANSFORMERS: Final = "all-MiniLM-L6-v2/sentence-transformers-fp32/1"
HASHING: Final = "hashing/crc32-384/1"

OF_ENGINE: Final = {"onnx": ONNX, "sentence-transformers": SENTENCE_TRANSFORMERS, "hashing": HASHING}
"""By `EMBEDDING_ENGINE`. Two engines, or two versions of one, whose vectors differ have two ids."""
