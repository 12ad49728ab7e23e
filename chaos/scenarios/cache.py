"""Scenarios that break the cache."""

from __future__ import annotations

from contextlib import closing

from chaos import faults
from chaos.scenarios.scenario import Scenario
from chaos.trial import Trial
from chaos.workload import COMPARED

READERS = ("api", "worker", "worker-2", "ml-worker")


def broken_in_four_ways(trial: Trial) -> None:
    """Down, silent, full, flushed; answers stay right."""
    lines = trial.lines("cache", *READERS)
    for way in (faults.down(), faults.stall()):
        for line in lines:
            trial.wait_until_used(line)
        with trial.broken(lines, way):
            _read_all(trial)
            trial.wait(8)
            _read_all(trial)
    with closing(trial.ground.cache.client()) as client:
        with trial.fault("cache full"):
            client.config_set("maxmemory", 1)
            trial.wait(5)
            _read_all(trial)
            client.config_set("maxmemory", 0)
        with trial.fault("cache flushed"):
            client.flushall()
            _read_all(trial)


def _read_all(trial: Trial) -> None:
    """What is read is never older than what was accepted before."""
    with trial.ledger.lock:
        known = {one: entry.version for one, entry in trial.ledger.entries.items() if not entry.maybe_deleted}
    for resource_id, version in list(known.items())[:20]:
        try:
            read = trial.client.ask("GET", f"/resources/{resource_id}")["version"]
        except Exception as error:  # noqa: BLE001  whatever a read ends in is what is told
            gone = trial.ledger.entries[resource_id].maybe_deleted
            trial.expect(gone, f"reading {resource_id} failed: {error}")
        else:
            trial.expect(read >= version, f"{resource_id} was read in version {read}, and {version} was accepted")


SCENARIOS = (
    Scenario(
        number=33,
        title="cache broken",
        fault="cache down, silent, full, flushed",
        bound="right answers, no write slower",
        act=broken_in_four_ways,
        also=("I6", "I7"),
        load=COMPARED,
    ),
)
