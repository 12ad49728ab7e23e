"""Entry: how a value is written in the cache.

`<generation> <version or -> <JSON>`. The two words before the JSON are what scripts compare; the
JSON is any plain value pydantic can write (models, dataclasses, dates and UUIDs become their JSON
form; tuples come back as lists, keys of mappings as strings).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

UNVERSIONED = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A value found in the cache; a cached None is a `Hit` whose value is None. `raw` is the entry it was read from."""

    value: Any
    version: int | None
    raw: bytes = field(default=b"", repr=False, compare=False)


def encode_value(value: object) -> bytes:
    """JSON bytes; `ValueError` for what JSON cannot hold."""
    return to_json(value, inf_nan_mode="constants")


def decode_entry(raw: bytes, *, generation: bytes | None) -> Hit | None:
    """The hit in `raw`, None when its family was invalidated since; `ValueError` when it is damaged."""
    written_in, version, payload = raw.split(b" ", 2)
    if written_in != generation:
        return None
    number = None if version == UNVERSIONED.encode() else int(version)
    return Hit(value=from_json(payload), version=number, raw=raw)
