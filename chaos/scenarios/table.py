"""All scenarios by their number."""

from __future__ import annotations

from chaos.scenarios import (
    broker_lines,
    broker_server,
    broker_switch,
    cache,
    database_lines,
    flower,
    killed_relays,
    late_writers,
    processes,
    rabbit_server,
    relay_lines,
    soak,
    unbroken,
    work,
)
from chaos.scenarios.scenario import Scenario

SCENARIOS: dict[int, Scenario] = {
    one.number: one
    for one in sorted(
        (
            *broker_lines.SCENARIOS,
            *broker_server.SCENARIOS,
            *broker_switch.SCENARIOS,
            *cache.SCENARIOS,
            *database_lines.SCENARIOS,
            *flower.SCENARIOS,
            *killed_relays.SCENARIOS,
            *late_writers.SCENARIOS,
            *processes.SCENARIOS,
            *rabbit_server.SCENARIOS,
            *relay_lines.SCENARIOS,
            *soak.SCENARIOS,
            *unbroken.SCENARIOS,
            *work.SCENARIOS,
        ),
        key=lambda one: one.number,
    )
}
