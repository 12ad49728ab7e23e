"""A trace of requests: what is asked for follows Zipf's law, and one request of twenty changes a document."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["resource", "quality", "search", "recommendations", "write"]
MIX: dict[Kind, int] = {"resource": 45, "quality": 20, "search": 15, "recommendations": 15, "write": 5}
"""Of a hundred requests. Ours, but for the 5 writes: a search leads to documents, and a page shows both sorts."""
EXPONENT = 1.1
RESOURCES, QUERIES, USERS = 500, 100, 50
REQUESTS_A_SECOND = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, at a second of the trace; `rank` 0 is what is asked for most. Half of the writes change the text."""

    at: float
    kind: Kind
    rank: int
    is_new_text: bool = False


def trace(seed: object, *, requests: int, per_second: float = REQUESTS_A_SECOND) -> list[Asked]:
    """The same for the same seed."""
    chosen = random.Random(f"{seed}-trace")
    lengths = {"search": QUERIES, "recommendations": USERS}
    weights = {length: _zipf(length) for length in (RESOURCES, QUERIES, USERS)}
    kinds = chosen.choices(list(MIX), weights=list(MIX.values()), k=requests)
    asked = []
    for number, kind in enumerate(kinds):
        length = lengths.get(kind, RESOURCES)
        [rank] = chosen.choices(range(length), weights=weights[length])
        is_new_text = kind == "write" and chosen.random() < 0.5
        asked.append(Asked(at=number / per_second, kind=kind, rank=rank, is_new_text=is_new_text))
    return asked


def _zipf(length: int) -> Sequence[float]:
    return [1 / rank**EXPONENT for rank in range(1, length + 1)]
