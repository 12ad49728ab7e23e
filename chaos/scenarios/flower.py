"""Scenarios that watch Flower while things break."""

from __future__ import annotations

import http.client
import json
import time
from datetime import UTC, datetime

from chaos import faults
from chaos.faults import Breakage
from chaos.scenarios.broker_lines import USERS
from chaos.scenarios.scenario import PROCESSES, Scenario
from chaos.stack import FLOWER
from chaos.trial import Trial

SHOWN_WITHIN_SECONDS = 30.0
WAITED_FOR_SECONDS = 60.0


def flower_cut_off(trial: Trial) -> None:
    """Everybody loses the broker, Flower too; then it shows every worker again, by what the workers sent since."""
    _wait_until_shown(trial, since=datetime.now(UTC), within_seconds=WAITED_FOR_SECONDS)
    faults_in_turn: tuple[tuple[Breakage, float], ...] = (
        *[(faults.down(), 5)] * trial.rounds(5, fast=2),
        (faults.stall(), trial.rounds(45, fast=22)),
    )
    for way, seconds in faults_in_turn:
        with trial.broken(trial.lines("broker", *USERS, FLOWER), way):
            trial.wait(seconds)
        healed = time.monotonic()
        _wait_until_shown(trial, since=datetime.now(UTC), within_seconds=WAITED_FOR_SECONDS)
        trial.measure("Flower shows every worker", time.monotonic() - healed, at_most=SHOWN_WITHIN_SECONDS)
    trial.expect(trial.stack.processes[FLOWER].running, "Flower ended")


def _wait_until_shown(trial: Trial, *, since: datetime, within_seconds: float) -> None:
    wanted = {worker.pid for worker in trial.stack.workers}
    trial.poll(
        lambda: wanted <= _seen_by_flower(trial.stack.flower_port, since=since),
        within_seconds=within_seconds,
        what="Flower shows every worker",
        every_seconds=0.5,
    )


def _seen_by_flower(port: int, *, since: datetime) -> set[int]:
    """The process ids of the workers that it calls alive, and has heard of since then."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/workers?json=1")
        shown = json.loads(connection.getresponse().read())["data"]
    except (OSError, http.client.HTTPException, ValueError):
        return set()
    finally:
        connection.close()
    moment = since.timestamp()
    return {one["pid"] for one in shown if one["status"] and max(one["heartbeats"], default=0) > moment}


SCENARIOS = (
    Scenario(
        number=31,
        title="Flower cut off",
        fault="all lines to the broker, Flower's too, down for 5 s, five times, then silent for 45 s",
        bound="Flower shows every worker ≤ 30 s after each of the six healings (fast: three);"
        " every worker consumes ≤ 10 s after the last",
        act=flower_cut_off,
        also=("I6", "I10"),
        processes=(*PROCESSES, FLOWER),
        environment={"FLOWER_UNAUTHENTICATED_API": "true"},
    ),
)
