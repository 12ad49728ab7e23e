"""Alternating rounds: every side once a round, in an order drawn anew for each."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.systems import System

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure of one side: a value a round, and what stands for all of them (the median if not told)."""

    side: str
    what: str
    unit: str
    rounds: tuple[float, ...]
    value: float


@dataclass(slots=True)
class Rounds:
    """How often, and in which order. `loads` are the machine's load averages at the start of each round.

    `share` of the calls: less than all is a trial.
    """

    count: int
    seed: int
    share: float = 1.0
    loads: list[float] = field(default_factory=list)

    def of(self, system: System) -> System:
        """The system with its share of the calls."""
        return replace(system, calls=max(100, round(system.calls * self.share)))

    def alternate(self, row: str, sides: Mapping[str, Callable[[], Values]]) -> dict[str, list[Values]]:
        """Every side's values, one mapping a round."""
        order = random.Random(f"{self.seed}-{row}")
        found: dict[str, list[Values]] = {name: [] for name in sides}
        for number in range(1, self.count + 1):
            self.loads.append(round(os.getloadavg()[0], 2))
            for name in order.sample(sorted(sides), len(sides)):
                began = time.monotonic()
                found[name].append(sides[name]())
                told = ", ".join(f"{what} {value:,.4g}" for what, value in found[name][-1].items())
                took = time.monotonic() - began
                print(
                    f"{row}  round {number}/{self.count}  {name}: {told}  ({took:.1f} s)", file=sys.stderr, flush=True
                )
        return found


def medians(found: Mapping[str, Sequence[Values]], *, units: Mapping[str, str]) -> list[Measure]:
    """One measure for each side and each of the units' names."""
    return [
        Measure(
            side=side, what=what, unit=unit, rounds=tuple(one[what] for one in values), value=median_of(values, what)
        )
        for side, values in found.items()
        for what, unit in units.items()
        if what in values[0]
    ]


def median_of(values: Sequence[Values], what: str) -> float:
    """Of that name over the rounds."""
    return statistics.median(one[what] for one in values)
