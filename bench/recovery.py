"""B13: from SIGKILL of a worker, pool and all, to the start of its task in another."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import psutil

from bench.results import Found, Ratio
from bench.rounds import Rounds, Values, medians
from bench.runs import Note, Run
from bench.servers import Broker, Servers
from bench.systems import System, celery
from chaos.polling import DeadlineMissed, poll_until
from chaos.processes import HarnessError, OwnedProcess

HELD = 1_000_000
HOLD_SECONDS = 120.0
PATIENCE_SECONDS = 60.0
WARM_UP_CALLS = 20
RESTARTED = {"restarted": "s"}
NEVER = f"{PATIENCE_SECONDS:g} s: not within them. Stock Redis waits for its visibility timeout, 3600 s"


def after_a_kill(servers: Servers, rounds: Rounds) -> Found:
    """B13. Stock Redis is tried once: its 3600 s are a setting, not a measurement."""
    stock, ours = celery("stock Celery", "celery_stock"), celery("ours", "celery_ours")
    sides: dict[str, Callable[[], Values]] = {
        "ours, Redis": _side(ours, servers.redis),
        "ours, RabbitMQ": _side(ours, servers.rabbitmq),
        "stock Celery, RabbitMQ": _side(stock, servers.rabbitmq),
    }
    measures = medians(rounds.alternate("B13", sides), units=RESTARTED)
    once = Rounds(count=1, seed=rounds.seed, loads=rounds.loads)
    stock_redis = once.alternate("B13", {"stock Celery, Redis (once)": _side(stock, servers.redis)})
    measures += medians(stock_redis, units=RESTARTED)
    ratios = [
        Ratio(what=f"{one.side}: slowest of all", value=max(one.rounds), unit="s", reach=5.0, at_most=True)
        for one in measures
        if one.side.startswith("ours")
    ]
    return Found(measures=measures, ratios=ratios, notes=[NEVER])


def _side(system: System, broker: Broker) -> Callable[[], Values]:
    def measure() -> Values:
        with broker() as url, Run(system, url) as run:
            try:
                return {"restarted": restart_seconds(run)}
            except DeadlineMissed:
                return {"restarted": PATIENCE_SECONDS}

    return measure


def restart_seconds(run: Run, *, within_seconds: float = PATIENCE_SECONDS) -> float:
    """Kill the worker that runs a long task; seconds until another starts it, or `DeadlineMissed`."""
    workers = [run.start_worker(), run.start_worker()]
    _warm_up(run, workers)
    run.python("-c", f"from {run.system.module} import publish_hold; publish_hold({HELD}, {HOLD_SECONDS})")
    (first,) = poll_until(lambda: _starts(run), within_seconds=20, what="the long task starts")
    victim = _owner(first, workers)
    killed_at = time.monotonic()
    victim.kill()

    starts = poll_until(
        lambda: _starts(run) if len(_starts(run)) > 1 else [],
        within_seconds=within_seconds,
        what=f"the task of a killed worker of {run.system.name} starts again",
    )
    return starts[1].moment - killed_at


def _warm_up(run: Run, workers: list[OwnedProcess]) -> None:
    """Until each worker has run something: none is still starting when the other is killed."""
    first = count(step=WARM_UP_CALLS)

    def each_has_run() -> bool:
        number = next(first)
        run.python("-c", f"from {run.system.module} import publish; publish(range({number}, {number + WARM_UP_CALLS}))")
        notes = run.wait_for(number + WARM_UP_CALLS)
        return len({_owner(note, workers).pid for note in notes}) == len(workers)

    poll_until(each_has_run, within_seconds=60, what="each worker has run something")


def _starts(run: Run) -> list[Note]:
    return [note for note in run.notes() if note.number == HELD]


def _owner(note: Note, workers: list[OwnedProcess]) -> OwnedProcess:
    family = {note.pid, *(parent.pid for parent in psutil.Process(note.pid).parents())}
    for worker in workers:
        if worker.pid in family:
            return worker
    raise HarnessError(f"process {note.pid} is of no worker")
