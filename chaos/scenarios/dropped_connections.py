"""Connections that the server drops, seen from the line of a worker."""

from __future__ import annotations

from collections.abc import Callable

from chaos.faults import Fault
from chaos.polling import DeadlineMissed
from chaos.trial import Trial


def again_and_again(trial: Trial, name: str, drop: Callable[[], object]) -> None:
    """`drop` has the server end every connection; each time the worker must lose one of its own."""
    for _ in range(trial.rounds(20, fast=5)):
        with trial.fault(name) as fault:
            _drop(trial, fault, drop)
        trial.wait(trial.random.uniform(0.3, 1.5))


def _drop(trial: Trial, fault: Fault, drop: Callable[[], object]) -> None:
    [line] = trial.lines("broker", "worker")
    stood = trial.wait_until_used(line)
    drop()
    try:
        trial.poll(lambda: stood - line.connections(), within_seconds=5, what="a connection of the worker is gone")
    except DeadlineMissed:
        fault.missed = "the connections of the worker stand"
