"""Rankings: the first documents by words and by meaning, and what becomes of them when a few documents change."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from app.index.documents import Hit
from app.knowledge.rank_fusion import fuse

if TYPE_CHECKING:
    from app.index.vectors import Floats, Near

COSINE_MIN = 0.1
"""Texts below it have nothing to do with each other (all-MiniLM-L6-v2 gives unrelated texts 0 ± 0.1)."""
COSINE_ERROR = 1e-5
"""Two ways to multiply the same vectors differ by less (float32, 384 places: about 1e-7). Nearer ones are in doubt."""


def with_spare(depth: int) -> int:
    """How many are ranked where `depth` are fused: the others stand in for documents that leave the ranking."""
    return depth + depth // 5


Place = tuple[float, int | str]
"""The higher score first, then the lower number or id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """All documents up to the last place in it, best first; `is_complete`: there are no others."""

    places: Mapping[UUID, Place]
    is_complete: bool
    error: float = 0.0

    def with_changed(self, changed: Set[UUID], now: Mapping[UUID, Place], *, wanted: int) -> Ranking | None:
        """With these documents where they belong `now`, if anywhere. None: that cannot be told from what is here.

        Whatever stays in it is still all there is up to the last place, for nothing is let in behind that.
        """
        if not changed:
            return self
        kept = {one: place for one, place in self.places.items() if one not in changed}
        last = max(map(_order, kept.values()), default=None)
        for one, place in now.items():
            if self.is_complete or (last is not None and _order(place) < last):
                if self._is_in_doubt(place, kept):
                    return None
                kept[one] = place
            elif last is not None and self._is_in_doubt(place, kept):
                return None
        if not self.is_complete and len(kept) < wanted:
            return None
        ordered = sorted(kept.items(), key=lambda item: _order(item[1]))
        reach = with_spare(wanted)
        return replace(self, places=dict(ordered[:reach]), is_complete=self.is_complete and len(ordered) <= reach)

    def first(self, count: int) -> list[UUID]:
        """The best."""
        return list(self.places)[:count]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        listed = [[str(one), score, tie] for one, (score, tie) in self.places.items()]
        return {"places": listed, "is_complete": self.is_complete, "error": self.error}

    @classmethod
    def of_plain(cls, kept: Mapping[str, Any]) -> Self:
        """What `plain` gave."""
        places = {UUID(one): (score, tie) for one, score, tie in kept["places"]}
        return cls(places=places, is_complete=kept["is_complete"], error=kept["error"])

    def _is_in_doubt(self, place: Place, others: Mapping[UUID, Place]) -> bool:
        return self.error > 0 and any(abs(place[0] - score) < self.error for score, _ in others.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rankings:
    """What a semantic (`words` None) or hybrid search fuses: the first `depth` of each. `vector`: the query's."""

    words: Ranking | None
    meaning: Ranking
    vector: Floats
    depth: int

    def fused(self) -> list[tuple[UUID, float]]:
        """All documents that can be paged through, with the scores that order them."""
        near = self.meaning.first(self.depth)
        if self.words is None:
            return [(one, self.meaning.places[one][0]) for one in near]
        return fuse(self.words.first(self.depth), near)

    def found_by_words(self) -> set[UUID]:
        """Whose snippets show words; those of others show the nearest passage."""
        return set() if self.words is None else set(self.words.first(self.depth))

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "words": None if self.words is None else self.words.plain(),
            "meaning": self.meaning.plain(),
            "vector": base64.b64encode(self.vector.astype("<f4").tobytes()).decode(),
            "depth": self.depth,
        }

    @classmethod
    def of_plain(cls, kept: Mapping[str, Any]) -> Self:
        """What `plain` gave."""
        import numpy as np  # noqa: PLC0415 — a process that searches by words alone does not load it

        return cls(
            words=None if kept["words"] is None else Ranking.of_plain(kept["words"]),
            meaning=Ranking.of_plain(kept["meaning"]),
            vector=np.frombuffer(base64.b64decode(kept["vector"]), dtype="<f4"),
            depth=kept["depth"],
        )


def ranking_by_words(hits: Sequence[Hit], *, is_complete: bool) -> Ranking:
    """In the order of the index."""
    return Ranking(places={hit.resource_id: (hit.score, hit.number) for hit in hits}, is_complete=is_complete)


def ranking_by_meaning(near: Sequence[Near], *, is_complete: bool) -> Ranking:
    """In the order of `Vectors.nearest`."""
    places: dict[UUID, Place] = {one.resource_id: (one.score, str(one.resource_id)) for one in near}
    return Ranking(places=places, is_complete=is_complete, error=COSINE_ERROR)


def _order(place: Place) -> Any:
    score, tie = place
    return -score, tie
