"""Brokers that tests own: they keep what they are given, and refuse, fail or stay silent as told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from app.errors import TransportUnavailable
from app.transports.base import QUEUES, DeadMessage, Fate, Message, Outcome, QueueDepth

Judge = Callable[[Message], Outcome]
ACCEPTED = Outcome(fate=Fate.ACCEPTED)


class RecordingBroker:
    """A `Transport` that holds every message it accepts, with the time of its arrival."""

    fingerprint = "recording:test/0"

    def __init__(self) -> None:
        self.held: list[Message] = []
        self.dead: list[DeadMessage] = []
        self.arrived: list[float] = []
        self.batches: list[int] = []
        self.is_away = False
        self.judge: Judge = lambda _: ACCEPTED
        self._lock = threading.Lock()

    def publish(self, messages: Sequence[Message], *, deadline_seconds: float) -> list[Outcome]:
        self._answer()
        with self._lock:
            self.batches.append(len(messages))
            outcomes = [self.judge(message) for message in messages]
            for message, outcome in zip(messages, outcomes, strict=True):
                if not outcome.refused:
                    self.held.append(message)
                    self.arrived.append(time.monotonic())
        return outcomes

    def declare(self, *, deadline_seconds: float = 5.0) -> None:
        self._answer()

    def depths(self, queues: Sequence[str] = QUEUES, *, deadline_seconds: float = 2.0) -> dict[str, QueueDepth]:
        self._answer()
        return {queue: QueueDepth(ready=sum(m.queue == queue for m in self.held), unacked=0) for queue in queues}

    def health(self, *, deadline_seconds: float = 2.0) -> tuple[str, ...]:
        self._answer()
        return ()

    def take_dead(
        self, queues: Sequence[str] = QUEUES, *, limit: int = 100, deadline_seconds: float = 5.0
    ) -> list[DeadMessage]:
        self._answer()
        return self.dead[:limit]

    def forget_dead(self, messages: Sequence[DeadMessage], *, deadline_seconds: float = 5.0) -> int:
        self._answer()
        self.dead = [one for one in self.dead if one not in messages]
        return len(messages)

    def tend(self, *, max_deliveries: int, deadline_seconds: float = 2.0) -> int:
        self._answer()
        return 0

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self) -> None:
        if self.is_away:
            raise TransportUnavailable("nobody answers")
