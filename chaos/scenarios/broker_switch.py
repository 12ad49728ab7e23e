"""Scenarios in which a running system is moved to another broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from chaos.broker_contents import contents
from chaos.invariants.observed import Bounds
from chaos.scenarios.frozen_workers import frozen_workers
from chaos.scenarios.scenario import Scenario
from chaos.stack import Stack
from chaos.stack_process import StackProcess
from chaos.trial import Trial

SENDERS = ("relay", "worker", "ml-worker")
RESTART_EXIT_CODE = 75
ENDS_WITHIN_SECONDS = 60.0
GAP_SECONDS = 20.0
DRAINED_WITHIN_SECONDS = 60


def there_and_back(trial: Trial) -> None:
    """To the spare broker when the old one is dead with a backlog on it; back when both live. Clients write on.

    The workers of the old one stand still only until it is dead: they are to end on their own.
    """
    first = trial.stack
    with _second_house(trial) as second:
        with trial.fault("two relays disagree"):
            trial.poll(lambda: _names_both(second), within_seconds=30, what="/readyz names both brokers")
        with trial.fault("the active broker is dead") as fault:
            with frozen_workers(trial) as backlog:
                trial.ground.broker.kill()
            fault.name += f" with {backlog.ready} messages on it, and another is made the active one"
            fault.missed = "" if backlog.ready else "it held nothing"
            trial.wait(3)
            _switch(trial, to=second, away_from=first)
        seconds = backlog.seconds_until_sent_again(trial, within_seconds=0)
        trial.expect(
            seconds is not None, f"of {backlog.ready} calls on it, {backlog.sent_again(trial)} were sent again"
        )
        trial.wait(5)
        with trial.fault("back to the first broker, which lives again"):
            trial.ground.broker.start()
            for process in _senders(first):
                trial.start(process)
            _switch(trial, to=first, away_from=second)
        for worker in second.workers:  # what was left there is theirs to drop
            trial.start(worker)
        second.run_command(
            "broker", "drain", "--within", str(DRAINED_WITHIN_SECONDS), within_seconds=DRAINED_WITHIN_SECONDS + 30
        )
    left = contents(trial.ground.spare_url)
    trial.expect(left.is_empty, f"the spare broker holds {left}")


@contextmanager
def _second_house(trial: Trial) -> Iterator[Stack]:
    """An API, a relay and workers on the same tables and the spare broker, watched and ended like the first."""
    stack = trial.stack.beside(
        broker_url=trial.ground.spare_url, environment={"BROKER_NAME": "spare"}, processes=("api", *SENDERS)
    )
    watched = {f"spare {name}": process for name, process in stack.processes.items()}
    try:
        stack.prepare()
        for process in stack.processes.values():
            process.start()
        stack.api.wait_until_up()
        trial.stack.processes.update(watched)
        yield stack
        trial.keep_up()
        running = [process for process in stack.processes.values() if process.running]
        for process in running:
            trial.end(process)
    finally:
        for name in watched:
            trial.stack.processes.pop(name, None)
        stack.close()


def _names_both(stack: Stack) -> bool:
    """The relay of a broker that is not the active one says so, and which is."""
    part = stack.readiness().get("parts", {}).get("relay", {})
    return not part.get("ok", True) and all(name in part.get("detail", "") for name in ("chaos", "spare"))


def _switch(trial: Trial, *, to: Stack, away_from: Stack) -> None:
    """One command; whoever serves the other broker ends to be restarted. The gap: until every worker consumes."""
    ending = [
        process for process in _senders(away_from) if process.running
    ]  # the first may end before the command does
    trial.let_end(ending)
    since = datetime.now(UTC)
    to.run_command("broker", "switch")
    found = trial.wait_until_consuming(within_seconds=ENDS_WITHIN_SECONDS, since=since, workers=to.workers)
    gaps = list(found.values())
    trial.measure("gap of a switch", None if None in gaps else max(filter(None, gaps)), at_most=GAP_SECONDS)
    for process in _senders(away_from):
        trial.ends_by_itself(process, code=RESTART_EXIT_CODE, within_seconds=ENDS_WITHIN_SECONDS)


def _senders(stack: Stack) -> list[StackProcess]:
    return [process for name, process in stack.processes.items() if name in SENDERS]


SCENARIOS = (
    Scenario(
        number=35,
        title="broker switched",
        fault="moved to another broker while the old one is dead with messages on it, and back while both live; relays"
        " that disagree",
        bound="every worker of the new broker consumes ≤ 20 s after the command, what was left behind is sent again;"
        " drained ≤ backlog / rate + 10 s after the last switch; no execution repeated: who is to end does its"
        " tasks first",
        act=there_and_back,
        also=("I3", "I6", "I10"),
        processes=("api", *SENDERS, "beat"),
        bounds=Bounds(redone=0),
        breaks_lines=False,
        breaks_broker=True,
        has_spare_broker=True,
    ),
)
