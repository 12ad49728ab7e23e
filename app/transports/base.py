"""The seam between the house and a message broker: what every transport promises.

Nothing here knows a driver. `redis.py` and `rabbitmq.py` keep these promises, `registry.py` chooses
between them by URL scheme, and `tests/conformance` runs each promise on every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Protocol
from uuid import UUID

QUEUES = ("default", "ml_tasks", "ingest", "batch")
"""Queues are kinds of work; urgency is a priority inside a queue."""

PRIORITIES = range(10)
"""Every legal priority, 0 the least urgent, on every broker."""


TEND_SECONDS = 0.5


class Priority(IntEnum):
    """Names for the priorities the house uses; a higher one is served first."""

    LOW = 3
    MEDIUM = 5
    HIGH = 7
    URGENT = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One sending of one task call.

    `call_id` is the task id; `generation` counts the sendings of that call, so that a worker can tell
    a stale copy. `args` and `kwargs` hold plain JSON values; `headers` are added to the message's own
    (correlation and causation ids).
    """

    call_id: UUID | str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str
    priority: int = Priority.MEDIUM
    generation: int = 1
    headers: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.priority not in PRIORITIES:
            raise ValueError(f"a priority is a whole number from 0 to 9, not {self.priority!r}")


class Fate(StrEnum):
    """What is known of a message after a publish."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The fate of one message.

    accepted: the broker said that it holds it. refused: the broker does not hold it, and `reason` says
    why; with `permanent` no later try can succeed. unknown: it left this process and no answer came, so
    it may or may not be there; sending it again needs a new generation.
    """

    fate: Fate
    reason: str = ""
    permanent: bool = False

    @property
    def accepted(self) -> bool:
        """The broker holds the message."""
        return self.fate is Fate.ACCEPTED

    @property
    def refused(self) -> bool:
        """The broker does not hold the message."""
        return self.fate is Fate.REFUSED

    @property
    def unknown(self) -> bool:
        """Nobody can tell whether the broker holds the message."""
        return self.fate is Fate.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDepth:
    """Messages of one queue: waiting, delivered but not acknowledged (None: not told), dead-lettered."""

    ready: int = 0
    unacked: int | None = None
    dead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message that its queue gave up, as far as it can be read.

    `reason` is the broker's word (`rejected`, `delivery_limit`, `undecodable`, `expired`, `maxlen`, …), `count` how
    often it died or was delivered, `died_at` by the broker's clock (None: not told). `payload` is every byte the broker
    held; `headers` are plain JSON, with `x-death`. What cannot be read is None: `args` and `kwargs` are both there, or
    neither. `task`, `message_id` and `generation` are what the sender claimed. `receipt` is for `forget_dead` of the
    same transport.
    """

    queue: str
    reason: str
    count: int
    died_at: datetime | None
    payload: bytes = field(repr=False)
    headers: Mapping[str, Any]
    task: str | None
    message_id: str | None
    generation: int | None
    args: list[Any] | None
    kwargs: Mapping[str, Any] | None
    priority: int
    receipt: Any = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A queue as it is declared, with the same arguments in every process.

    `dead_letters` is the queue that its rejected messages end in.
    """

    name: str
    arguments: Mapping[str, Any]
    dead_letters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One broker as plain data: what Celery is configured from, and who the broker is.

    `fingerprint` names the broker without its password: equal for two URLs of the same place.
    `wire_priorities[p]` is the number that a message of our priority p carries on this broker.
    `celery_config` holds every Celery setting that depends on the broker or on how messages are
    given back, ready for `celery_app.conf.update`.
    """

    transport: str
    url: str = field(repr=False)
    fingerprint: str
    queues: tuple[QueueSpec, ...]
    wire_priorities: tuple[int, ...]
    transport_options: Mapping[str, Any]
    connect_timeout_seconds: float
    heartbeat_seconds: int
    celery_config: Mapping[str, Any] = field(repr=False)

    def wire_priority(self, priority: int) -> int:
        """The number that a message of `priority` (0 to 9, 9 first) carries on this broker."""
        return self.wire_priorities[priority]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an inspection found, one line each: what differs, what was made, and what could not be looked at or is
    only worth knowing.
    """

    differences: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Inspection(Protocol):
    """Compares what stands on a broker with what should. Raises `TransportUnavailable`."""

    def check(self) -> Findings:
        """Look, and change nothing."""

    def apply(self) -> Findings:
        """Make what is missing and put right what differs, but delete nothing that holds messages or is in use."""


class Transport(Protocol):
    """A connection to one broker, opened when first needed and again after every loss.

    Safe to call from several threads, which then wait for each other inside their own deadlines.
    Every method returns or raises by its deadline, at the latest half a second after it, whatever the
    peer does: refuse, stay silent, answer slowly, close. An error leaves the object usable: the next
    call tries again. No error of a driver comes out, only `TransportUnavailable` (worth another try)
    and `TransportRejected` (never).
    """

    @property
    def fingerprint(self) -> str:
        """Who the broker is, without its password."""

    def publish(self, messages: Sequence[Message], *, deadline_seconds: float) -> list[Outcome]:
        """Send all messages in one round trip; return one outcome for each, in their order.

        `accepted` means on disk or in memory as the broker's own durability has it, in the queue the
        message names. A queue that does not exist is `refused`, never silence. A message that is not
        plain JSON is `refused` for good and does not hold up the others. Raises `TransportUnavailable`
        only if no message left this process, so that all can be sent again without a copy.
        """

    def declare(self, *, deadline_seconds: float = 5.0) -> None:
        """Make the queues and their dead-letter queues exist; quiet when they do.

        Raises `TransportRejected` if the broker holds one of them with other arguments (the message
        names it), or cannot serve at all as it is set up; `TransportUnavailable` if it cannot be reached.
        """

    def depths(self, queues: Sequence[str] = QUEUES, *, deadline_seconds: float = 2.0) -> dict[str, QueueDepth]:
        """Count the messages of each queue; a queue that does not exist has none.

        Raises `TransportUnavailable`.
        """

    def health(self, *, deadline_seconds: float = 2.0) -> tuple[str, ...]:
        """Ask the broker something; return what is wrong with its set-up though it answers (mostly nothing).

        Raises `TransportUnavailable` with the reason if it does not answer or takes no messages.
        """

    def tend(self, *, max_deliveries: int, deadline_seconds: float = 2.0) -> int:
        """Do what the broker does not do by itself, every `TEND_SECONDS`: give back what dead workers held.

        A message that is no call of ours goes to the dead letters instead once far more than `max_deliveries` owners
        have died with it: most had only fetched it, and starts are counted elsewhere. Returns how many messages went
        back to their queues. Any number of processes may do this. Raises `TransportUnavailable`.
        """

    def take_dead(
        self, queues: Sequence[str] = QUEUES, *, limit: int = 100, deadline_seconds: float = 5.0
    ) -> list[DeadMessage]:
        """The oldest dead messages of each queue, at most `limit` of each. The broker keeps them until `forget_dead`.

        What is taken and never forgotten, by whatever death, is taken again: handle a message twice as once. Two
        takers may be given the same message. Raises `TransportUnavailable`.
        """

    def forget_dead(self, messages: Sequence[DeadMessage], *, deadline_seconds: float = 5.0) -> int:
        """Remove from the broker what `take_dead` of this object gave; returns how many were there to be removed.

        One that has been given back meanwhile (the connection was lost) stays, and is taken again. Raises
        `TransportUnavailable`, after which any of them may be gone.
        """

    def close(self) -> None:
        """Let go of the connection without waiting for the peer; quiet the second time."""
