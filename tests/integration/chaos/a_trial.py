"""A trial of one worker of each kind, on a Redis, with nothing broken yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from chaos.run import staged
from chaos.scenarios.scenario import Scenario
from chaos.site import Site
from chaos.stack import ROOT
from chaos.trial import Trial

PROCESSES = ("api", "relay", "worker", "ml-worker", "beat")


@contextmanager
def a_trial(scenario: Scenario) -> Iterator[Trial]:
    """Its servers and processes, up; all gone at the end."""
    small = replace(scenario, processes=PROCESSES)
    with Site() as site, staged(small, site, broker="redis", seed=1, is_fast=True, source=ROOT) as trial:
        yield trial
