"""All scenarios by their number."""

from __future__ import annotations

from chaos.scenarios import broker_lines, broker_server, cache, database_lines, processes, soak, work
from chaos.scenarios.scenario import Scenario

SCENARIOS: dict[int, Scenario] = {
    one.number: one
    for one in sorted(
        (
            *broker_lines.SCENARIOS,
            *broker_server.SCENARIOS,
            *cache.SCENARIOS,
            *database_lines.SCENARIOS,
            *processes.SCENARIOS,
            *soak.SCENARIOS,
            *work.SCENARIOS,
        ),
        key=lambda one: one.number,
    )
}
