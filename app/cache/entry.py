"""Entry: how a value is written in the cache.

`<generation> <version or -> <JSON>`. The two words before the JSON are what scripts compare; the
JSON is any plain value pydantic can write (models, dataclasses, dates and UUIDs become their JSON
form; tuples come back as lists, keys of mappings as strings). Vectors go in as text:
`encode_vector` is a quarter of the size of a list of decimals and gives the same floats back.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json, to_json

UNVERSIONED = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A value found in the cache; a cached None is a `Hit` whose value is None."""

    value: Any
    version: int | None


def encode_value(value: object) -> bytes:
    """JSON bytes; `ValueError` for what JSON cannot hold."""
    return to_json(value, inf_nan_mode="constants")


def decode_entry(raw: bytes, *, generation: bytes | None) -> Hit | None:
    """The hit in `raw`, None when its family was invalidated since; `ValueError` when it is damaged."""
    written_in, version, payload = raw.split(b" ", 2)
    if written_in != generation:
        return None
    number = None if version == UNVERSIONED.encode() else int(version)
    return Hit(value=from_json(payload), version=number)


def encode_vector(vector: NDArray[np.float32]) -> str:
    """A vector of shape (dim,) as base64 of little-endian float32."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def decode_vector(text: str) -> NDArray[np.float32]:
    """The vector that `encode_vector` wrote, shape (dim,); `ValueError` when it is damaged."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)
