"""One publish: the messages that can be sent, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Generic, TypeVar

from app.errors import TransportRejected, TransportUnavailable
from app.transports.base import Fate, Message, Outcome

Envelope = TypeVar("Envelope")

ACCEPTED = Outcome(fate=Fate.ACCEPTED)


class Batch(Generic[Envelope]):
    """The fates of the messages of one publish, written by the sender and read once by the caller.

    The sender may be a thread that outlives the deadline: `begin` and `close` decide under one lock
    whether it may still send, so "nothing was sent" stays true after it was said.
    """

    def __init__(self, messages: Sequence[Message], encode: Callable[[Message], Envelope]) -> None:
        self._outcomes: list[Outcome | None] = [None] * len(messages)
        self._envelopes: list[tuple[int, Message, Envelope]] = []
        self._lock = Lock()
        self._begun = self._closed = False
        for index, message in enumerate(messages):
            try:
                self._envelopes.append((index, message, encode(message)))
            except TransportRejected as error:
                self._outcomes[index] = Outcome(fate=Fate.REFUSED, reason=str(error), permanent=True)

    def __len__(self) -> int:
        """How many messages can be sent."""
        return len(self._envelopes)

    def __iter__(self) -> Iterator[tuple[int, Message, Envelope]]:
        return iter(self._envelopes)

    def begin(self) -> None:
        """Say that the first byte is about to leave; `TransportUnavailable` if the caller has gone."""
        with self._lock:
            if self._closed:
                raise TransportUnavailable("the deadline had passed before anything was sent")
            self._begun = True

    def accept(self, index: int) -> None:
        """The broker holds message `index`, unless it said before that it does not."""
        self._outcomes[index] = self._outcomes[index] or ACCEPTED

    def refuse(self, index: int, reason: str) -> None:
        """The broker does not hold message `index`."""
        self._outcomes[index] = Outcome(fate=Fate.REFUSED, reason=reason)

    def undecided(self) -> int:
        """How many messages still wait for an answer."""
        return self._outcomes.count(None)

    def close(self, trouble: TransportUnavailable | None = None) -> list[Outcome]:
        """End the publish: the outcomes, or `trouble` raised if it came before anything was sent."""
        with self._lock:
            self._closed = True
            if trouble is not None and not self._begun:
                raise trouble
        reason = str(trouble) if trouble else "the broker gave no answer before the deadline"
        unknown = Outcome(fate=Fate.UNKNOWN, reason=reason)
        return [outcome or unknown for outcome in self._outcomes]
