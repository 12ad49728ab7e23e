"""What the checker is given: the tables, the ledger, the broker's contents, and what the harness did and measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chaos.broker_contents import BrokerContents
from chaos.faults import Fault
from chaos.ledger import Ledger, Write
from chaos.tables import Tables

GRACE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """A process of the stack that ended, and whether the harness meant it to: by asking it, or `killed` by SIGKILL."""

    name: str
    code: int | None
    intended: bool
    killed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The numbers of one scenario. Seconds; `redone`: executions beyond the first of each call; `redone_each`: so many
    more for each fault of the run, of which the fast set has fewer.

    `runs_per_key` None: the edits come over time, and cause as many runs as they have debounces.
    `drained_seconds` None: GRACE_SECONDS and the backlog at healing by the rate of the same run. `is_faultless`: the
    scenario that the others are compared with; of any other, a run without a fault has shown nothing.
    """

    consuming_seconds: float = 10.0
    drained_seconds: float | None = None
    redone: int = 0
    redone_each: float = 0
    slower: float = 1.2
    runs_per_key: int | None = 2
    is_faultless: bool = False


@dataclass(slots=True, kw_only=True)
class Observed:
    """One run of a scenario, after it.

    From `warm_at` to `drained_at` the load of the scenario ran and was worked off; from `line_from`, if not all the
    time, calls stood in the line that the scenario had them form; from `steady_from` nothing was to be noticed but the
    load, where a scenario breaks nothing. `debounce_scale`: of all debounces, as set.
    `healed_at`: when the last fault was over and who was killed was back. `consuming_seconds`: by worker, from then to
    its first start; None: never. `backlog_seconds`: from then until all calls of before had ended. `drained_seconds`:
    that, or from the last write to converged, which takes a debounce at least, whichever was longer; None: never.
    `rate`: calls of a backlog a second while nothing was broken; `backlog`: open calls at healing. `expected_dead`:
    resources whose work is meant to end as dead letters. `measured`: times that the scenario took, beside their
    bounds; `disappointments`: what else of its own it did not find.
    """

    tables: Tables
    ledger: Ledger
    bounds: Bounds = field(default_factory=Bounds)
    contents: BrokerContents = field(default_factory=BrokerContents)
    healthy: list[Write] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    debounce_scale: float = 1.0
    warm_at: datetime | None = None
    line_from: datetime | None = None
    steady_from: datetime | None = None
    healed_at: datetime | None = None
    drained_at: datetime | None = None
    consuming_seconds: dict[str, float | None] = field(default_factory=dict)
    backlog_seconds: float | None = None
    drained_seconds: float | None = None
    rate: float = 1.0
    backlog: int = 0
    expected_dead: set[str] = field(default_factory=set)
    measured: list[Measured] = field(default_factory=list)
    disappointments: list[str] = field(default_factory=list)

    @property
    def drains_within_seconds(self) -> float:
        """T of I6."""
        return self.bounds.drained_seconds or GRACE_SECONDS + self.backlog / max(self.rate, 0.1)

    @property
    def may_be_redone(self) -> int:
        """How many executions of I3 may be repeated: no more than the faults of this run can cause."""
        return self.bounds.redone + int(self.bounds.redone_each * len(self.faults))

    def in_a_fault(self, moment: datetime, *, after: timedelta) -> bool:
        """Whether a fault was there then, or had ended no longer ago than `after`."""
        return any(fault.began <= moment <= (fault.ended or moment) + after for fault in self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A time of this scenario, such as from a kill to the start elsewhere; None: it did not happen."""

    what: str
    seconds: float | None
    at_most: float
