"""A scenario: a fault, the load beside it, what must hold, and the numbers of its bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos.invariants.observed import Bounds
from chaos.invariants.table import ALWAYS, BOUND, INVARIANTS
from chaos.site import BROKERS
from chaos.trial import Trial
from chaos.workload import Load

PROCESSES = ("api", "relay", "worker", "worker-2", "ml-worker", "beat")
SETTINGS = {
    "LOG_LEVEL": "WARNING",
    "BROKER_NAME": "chaos",  # every role reaches it at another port
    "DEBOUNCE_SCALE": "0.2",
    "RETRY_FIRST_DELAY_SECONDS": "0.5",
    "CANARY_INTERVAL_SECONDS": "1",
    "RECONCILE_INTERVAL_SECONDS": "1000000000",  # what was lost must come back without it; it ticks at multiples
}
"""Of all processes of all scenarios; in everything else they are as the product comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`act` makes the fault while the load runs, and returns when it is over; `afterwards` looks when all is drained.

    `also`: invariants beside those that always hold. `breaks_lines`: the processes reach their servers through
    proxies. `breaks_broker`: it needs a broker of its own. `behind_sentinel`: a Redis with a replica.
    `has_spare_broker`: a broker of the other kind stands beside it. `is_idle_meanwhile`: the fault keeps every call
    from the workers, so I7 compares with writes beside which nothing is processed either. `environment`: settings
    beside, or instead of, `SETTINGS`. `writes_fast`: as fast as the API takes it. `needs_processors`: its bounds leave
    few seconds over for who shares them, where it is run with all its rounds. `is_apart`: so long that it is run only
    when asked for by its number.
    """

    number: int
    title: str
    fault: str
    bound: str
    act: Callable[[Trial], None]
    afterwards: Callable[[Trial], None] | None = None
    brokers: tuple[str, ...] = BROKERS
    also: tuple[str, ...] = ()
    load: Load | None = field(default_factory=Load)
    bounds: Bounds = field(default_factory=Bounds)
    processes: tuple[str, ...] = PROCESSES
    environment: Mapping[str, str] = field(default_factory=dict)
    embedder: str = "hashing"
    breaks_lines: bool = True
    breaks_broker: bool = False
    behind_sentinel: bool = False
    has_spare_broker: bool = False
    is_idle_meanwhile: bool = False
    is_fast: bool = False
    is_apart: bool = False
    writes_fast: bool = False
    needs_processors: bool = False

    @property
    def needs_own_broker(self) -> bool:
        """It does more to the broker than break the lines to it."""
        return self.breaks_broker or self.behind_sentinel or self.has_spare_broker

    def runs_alone(self, *, is_fast: bool) -> bool:
        """What it measures would be of another run too that works meanwhile."""
        return self.writes_fast or "I7" in self.also or (self.needs_processors and not is_fast)

    @property
    def invariants(self) -> tuple[str, ...]:
        """All that are checked, in the order of their numbers."""
        wanted = {*ALWAYS, *self.also, BOUND}
        return tuple(one for one in INVARIANTS if one in wanted)
