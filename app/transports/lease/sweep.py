"""The sweep: finds owners that died, and gives back what they held. Relays and workers make it, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SWEEP_SECONDS = 0.5
RENEW_SECONDS = 1.0
LEASE_SECONDS = 15.0
"""A frozen process or a half-open link loses its work after this. Under 500 ± 300 ms latency a new connection and its
first renewal take 6.5 to 7.6 s, so nothing shorter may stand on renewals alone."""
SILENCE_SECONDS = 1.5
DOUBT_SECONDS = 2.5
"""A killed process is seen sooner: nobody listens on its channel for so long, and it missed more than one renewal."""
DEATHS_A_DELIVERY = 20
"""How often the owner of a message that is no call may die with it, for each start that it is allowed. This counts what
a dying worker had only fetched as well; starts are counted where they are made."""
STOCK_VISIBILITY_SECONDS = 3600
"""What a stock worker holds is given back after kombu's own default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep found."""

    returned: int
    buried: int
    dead: tuple[str, ...]


def sweep_arguments(*, max_deliveries: int) -> tuple[float, ...]:
    """The arguments of `SWEEP`, in its order."""
    return (
        SWEEP_SECONDS,
        SILENCE_SECONDS,
        DOUBT_SECONDS,
        LEASE_SECONDS,
        DEATHS_A_DELIVERY * max_deliveries,
        STOCK_VISIBILITY_SECONDS,
    )


def swept(answer: Sequence[Any]) -> Swept | None:
    """The answer of `SWEEP`; None when another sweep had just been made."""
    if not int(answer[0]):
        return None
    dead = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in answer[3:])
    return Swept(returned=int(answer[1]), buried=int(answer[2]), dead=dead)
