"""Scenarios in which a running system is moved to another broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from chaos.broker_contents import contents
from chaos.invariants.observed import Bounds
from chaos.polling import DeadlineMissed
from chaos.scenarios.frozen_workers import frozen_workers
from chaos.scenarios.scenario import Scenario
from chaos.stack import Stack
from chaos.stack_process import StackProcess
from chaos.trial import Trial

SENDERS = ("relay", "worker", "ml-worker")
RESTART_EXIT_CODE = 75
ENDS_WITHIN_SECONDS = 60.0
GAP_SECONDS = 20.0
SPARE = "spare"
SENT_MEANWHILE, SENT_WITHIN_SECONDS = 20, 15.0
SENT_AGAIN_WITHIN_SECONDS = 30.0
DRAINED_WITHIN_SECONDS = 60


def there_and_back(trial: Trial) -> None:
    """To the spare broker when the old one is dead with a backlog on it; back, with one on the spare, when both live.

    Clients write on. The workers of the broker that is left stand still only until it is dead, or another is the active
    one: they are to end on their own.
    """
    first = trial.stack
    with _second_house(trial) as second:
        _let_relays_disagree(trial, second)
        _start(trial, *second.workers)
        with trial.fault("the active broker is dead") as fault:
            with frozen_workers(trial) as backlog:
                trial.ground.broker.kill()
            fault.name += f" with {backlog.ready} messages on it, and another is made the active one"
            fault.missed = "" if backlog.ready else "it held nothing"
            trial.wait(3)
            _await_the_end(trial, away_from=first, to=second, since=_switch(trial, to=second, away_from=first))
        seconds = backlog.seconds_until_sent_again(trial, within_seconds=0)
        trial.expect(
            seconds is not None, f"of {backlog.ready} calls on it, {backlog.sent_again(trial)} were sent again"
        )
        trial.wait(5)
        with trial.fault("back to the first broker, which lives again") as fault:
            trial.ground.broker.start()
            for process in _senders(first):
                trial.start(process)
            with frozen_workers(trial, of=second) as backlog:
                since = _switch(trial, to=first, away_from=second)
                left = contents(trial.ground.spare_url).messages
            fault.name += f", with {left} messages left on the spare one"
            fault.missed = "" if left and backlog.ready else "the spare one held nothing"
            seconds = backlog.seconds_until_sent_again(trial, within_seconds=SENT_AGAIN_WITHIN_SECONDS)
            _await_the_end(trial, away_from=second, to=first, since=since)
        trial.measure(f"{backlog.ready} calls left behind sent again", seconds, at_most=SENT_AGAIN_WITHIN_SECONDS)
        for worker in second.workers:  # what was left there is theirs to drop
            trial.start(worker)
        second.run_command(
            "broker", "drain", "--within", str(DRAINED_WITHIN_SECONDS), within_seconds=DRAINED_WITHIN_SECONDS + 30
        )
    remains = contents(trial.ground.spare_url)
    trial.expect(remains.is_empty, f"the spare broker holds {remains}")


def _let_relays_disagree(trial: Trial, second: Stack) -> None:
    """The relay of the spare broker says so, and sends nothing there while the other one sends.

    Nobody takes anything from the spare broker yet: whatever is sent there is found.
    """
    with trial.fault("two relays disagree") as fault:
        trial.poll(lambda: _names_both(second), within_seconds=30, what="/readyz names both brokers")
        since = datetime.now(UTC)
        with suppress(DeadlineMissed):
            trial.poll(
                lambda: trial.tables.one(_SENT_SINCE, since) >= SENT_MEANWHILE,
                within_seconds=SENT_WITHIN_SECONDS,
                what="the relay of the active broker sends",
            )
        sent = int(trial.tables.one(_SENT_SINCE, since))
        fault.name += f", while {sent} calls are sent"
        fault.missed = "" if sent >= SENT_MEANWHILE else f"{SENT_MEANWHILE} were to be sent"
        wrong = contents(trial.ground.spare_url)
    trial.expect(wrong.is_empty, f"the relay of the wrong broker has sent there: {wrong}")


@contextmanager
def _second_house(trial: Trial) -> Iterator[Stack]:
    """An API and a relay on the same tables and the spare broker, watched and ended like the first; workers to be
    started.
    """
    stack = trial.stack.beside(
        broker_url=trial.ground.spare_url, environment={"BROKER_NAME": SPARE}, processes=("api", *SENDERS)
    )
    try:
        stack.prepare()
        for process in (stack.api, stack.relay):
            process.start()
        stack.api.wait_until_up()
        _watch(trial, stack.api, stack.relay)
        yield stack
        trial.keep_up()
        running = [process for process in stack.processes.values() if process.running]
        for process in running:
            trial.end(process)
    except Exception as error:
        error.add_note(stack.report())  # whose logs are removed with it
        raise
    finally:
        for name in stack.processes:
            trial.stack.processes.pop(f"{SPARE} {name}", None)
        stack.close()


def _start(trial: Trial, *workers: StackProcess) -> None:
    """For the first time: all at once, then each is waited for."""
    for worker in workers:
        worker.start()
    _watch(trial, *workers)
    for worker in workers:
        trial.wait_until_beating(worker)


def _watch(trial: Trial, *processes: StackProcess) -> None:
    trial.stack.processes.update({f"{SPARE} {process.name}": process for process in processes})


def _names_both(stack: Stack) -> bool:
    """The relay of a broker that is not the active one says so, and which is."""
    part = stack.readiness().get("parts", {}).get("relay", {})
    return not part.get("ok", True) and all(name in part.get("detail", "") for name in ("chaos", SPARE))


def _switch(trial: Trial, *, to: Stack, away_from: Stack) -> datetime:
    """One command; when it was given."""
    trial.let_end([process for process in _senders(away_from) if process.running])  # the first may be sooner than it
    since = datetime.now(UTC)
    to.run_command("broker", "switch")
    return since


def _await_the_end(trial: Trial, *, to: Stack, away_from: Stack, since: datetime) -> None:
    """Whoever serves the other broker ends to be restarted. The gap: until every worker of the new one consumes."""
    found = trial.wait_until_consuming(within_seconds=ENDS_WITHIN_SECONDS, since=since, workers=to.workers)
    gaps = list(found.values())
    trial.measure("gap of a switch", None if None in gaps else max(filter(None, gaps)), at_most=GAP_SECONDS)
    for process in _senders(away_from):
        trial.ends_by_itself(process, code=RESTART_EXIT_CODE, within_seconds=ENDS_WITHIN_SECONDS)


def _senders(stack: Stack) -> list[StackProcess]:
    return [process for name, process in stack.processes.items() if name in SENDERS]


_SENT_SINCE = "SELECT count(*) FROM task_calls WHERE sent_at >= %s"

SCENARIOS = (
    Scenario(
        number=35,
        title="broker switched",
        fault="moved to another broker while the old one is dead with messages on it, and back, with messages on the"
        " other one, while both live; relays that disagree",
        bound="every worker of the new broker consumes ≤ 20 s after the command, what was left behind is sent again, on"
        " the way back ≤ 30 s; the wrong relay sends nothing; drained ≤ backlog / rate + 10 s after the last switch;"
        " no execution repeated: who is to end does its tasks first",
        act=there_and_back,
        also=("I3", "I6", "I10"),
        processes=("api", *SENDERS, "beat"),
        bounds=Bounds(redone=0),
        breaks_lines=False,
        breaks_broker=True,
        has_spare_broker=True,
    ),
)
