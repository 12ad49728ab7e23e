"""Workers that stand still, so that messages wait on the broker and it is known what a fault takes along."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from chaos.broker_contents import QUEUES, contents
from chaos.polling import DeadlineMissed
from chaos.stack import Stack
from chaos.stack_process import StackProcess
from chaos.trial import Trial

CREATED = 10
"""More calls than frozen workers fetch: 30 for `default`, of which two take 8 each; 20 for `ml_tasks`, one takes 4."""
AT_LEAST = 10
WAIT_WITHIN_SECONDS = 5.0
"""A frozen worker is given up after 15 s on Redis, 12 s on RabbitMQ: by then the fault is there."""
STANDS_WITHIN_SECONDS = 30.0
WRITTEN_AFTER_SECONDS = 2.0
"""Redis puts off a write to its file for no longer than that; RabbitMQ has confirmed only what is on disk."""
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waited when the workers stood still: messages `ready` on the broker, how often each sent call was sent."""

    ready: int
    calls: Mapping[str, int]

    def sent_again(self, trial: Trial) -> int:
        """How many of the calls were sent anew since, or left to a later call of the same work."""
        found = {call: (times, state) for call, times, state in trial.tables.query(_TIMES_OF, list(self.calls))}
        return sum(times > self.calls[call] or state == "superseded" for call, (times, state) in found.items())

    def seconds_until_sent_again(self, trial: Trial, *, within_seconds: float) -> float | None:
        """From now until as many calls as there were messages have been sent anew; a miss is waited for, to be told."""
        since = time.monotonic()
        patience = within_seconds + PATIENCE_SECONDS
        with suppress(DeadlineMissed):
            trial.poll(lambda: self.sent_again(trial) >= self.ready, within_seconds=patience, what="all are sent again")
            return time.monotonic() - since
        return None


@contextmanager
def frozen_workers(trial: Trial, *queues: str, of: Stack | None = None) -> Iterator[Backlog]:
    """Inside, no worker moves, and messages wait in these queues, or in all of them together.

    `of`: the stack beside the first one that serves the active broker, which is the spare one then.
    """
    stack = of or trial.stack
    url = trial.ground.contents_url if of is None else trial.ground.spare_url
    try:
        with _nothing_sent(trial, stack):  # then they soon have no call in hand
            _stop(trial, stack.workers, while_in_hand=_RUNNING)
        for number in range(CREATED):
            trial.client.create(title=f"Waits {number}", content=f"What waits for frozen workers: {number}")
        with suppress(DeadlineMissed):  # the fault then says how few there were
            trial.poll(
                lambda: _ready(url, queues) >= AT_LEAST, within_seconds=WAIT_WITHIN_SECONDS, what="messages wait"
            )
        yield _backlog(trial, url, queues)
    finally:
        for worker in stack.workers:
            worker.resume()


@contextmanager
def nothing_moves(trial: Trial) -> Iterator[Backlog]:
    """Inside, the relay stands still too, and the broker has written down whatever it holds."""
    with frozen_workers(trial):
        try:
            _stop(trial, (trial.stack.relay,), while_in_hand=_CLAIMED)
            trial.wait(WRITTEN_AFTER_SECONDS)
            yield _backlog(trial, trial.ground.contents_url, ())
        finally:
            trial.stack.relay.resume()


@contextmanager
def _nothing_sent(trial: Trial, stack: Stack) -> Iterator[None]:
    try:
        _stop(trial, (stack.relay,), while_in_hand=_CLAIMED)
        yield
    finally:
        stack.relay.resume()


def _stop(trial: Trial, processes: Sequence[StackProcess], *, while_in_hand: str) -> None:
    """With no call in hand: what is stopped in the middle of one would be repeated for that alone."""

    def stand_idle() -> bool:
        if trial.tables.one(while_in_hand) or not trial.stops_between_transactions(*processes):
            return False
        if not trial.tables.one(while_in_hand):
            return True
        for process in processes:
            process.resume()
        return False

    trial.poll(stand_idle, within_seconds=STANDS_WITHIN_SECONDS, what="all stand still with no call in hand")


def _backlog(trial: Trial, url: str, queues: Sequence[str]) -> Backlog:
    return Backlog(ready=_ready(url, queues), calls=dict(trial.tables.query(_SENT, list(queues or QUEUES))))


def _ready(url: str, queues: Sequence[str]) -> int:
    found = contents(url).ready
    return sum(found[queue] for queue in queues or QUEUES)


_RUNNING = "SELECT count(*) FROM task_calls WHERE state = 'running'"
_CLAIMED = "SELECT count(*) FROM task_calls WHERE state = 'claimed'"
# As I3 counts: the tries that failed in the ordinary way had a sending of their own.
_SENT = "SELECT id::text, generation - attempts FROM task_calls WHERE state IN ('claimed', 'sent') AND queue = ANY(%s)"
_TIMES_OF = "SELECT id::text, generation - attempts, state FROM task_calls WHERE id::text = ANY(%s)"
