"""The verdict on one invariant, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`breaches` is empty when the invariant holds; `numbers` are what was measured either way. `only_measured`: all
    breaches are times that the machine may have had its part in, so they count when measured a second time.
    """

    breaches: tuple[str, ...] = ()
    numbers: dict[str, float | None] = field(default_factory=dict)
    only_measured: bool = False

    @property
    def holds(self) -> bool:
        """Nothing was found against it."""
        return not self.breaches


def verdict(breaches: Iterable[str], **numbers: float | None) -> Verdict:
    """Of the first breaches and the count of the rest."""
    found = list(breaches)
    shown = found[:SHOWN] + ([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])
    return Verdict(breaches=tuple(shown), numbers=numbers)
