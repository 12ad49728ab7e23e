"""The outbox: events that happened, calls they cause, effects those left, and dead letters."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now


class CallState(StrEnum):
    """`waiting → claimed → sent → running → done | dead | superseded`."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    SENT = "sent"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    SUPERSEDED = "superseded"


OPEN_STATES = (CallState.WAITING, CallState.CLAIMED, CallState.SENT, CallState.RUNNING)
IN_FLIGHT_STATES = (CallState.CLAIMED, CallState.SENT, CallState.RUNNING)
_OPEN = text("state IN ('waiting', 'claimed', 'sent', 'running')")
_WAITING = text("state = 'waiting'")


class EventRecord(Base):
    """A durable event: written in the transaction that caused it. This table is the history."""

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]]
    priority: Mapped[int]
    correlation_id: Mapped[str] = mapped_column(String(64))
    causation_id: Mapped[str | None] = mapped_column(String(64))
    subject: Mapped[UUID | None]
    timestamp: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_events_timestamp", "timestamp"), Index("ix_events_subject", "subject"))


class TaskCall(Base):
    """One call of a task, and the whole of its life: the state machine of the architecture, §3."""

    __tablename__ = "task_calls"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    task: Mapped[str] = mapped_column(String(128))
    args: Mapped[list[Any]]
    queue: Mapped[str] = mapped_column(String(32))
    priority: Mapped[int]
    kind: Mapped[str | None] = mapped_column(String(32))
    subject: Mapped[UUID | None]
    subject_version: Mapped[int | None]
    coalesce_key: Mapped[str | None] = mapped_column(String(200))

    state: Mapped[CallState] = mapped_column(String(16), default=CallState.WAITING)
    generation: Mapped[int] = mapped_column(default=0)
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")  # of the active broker, when it was claimed
    due_at: Mapped[datetime]
    latest_due_at: Mapped[datetime]  # a debounced call is put off no further than this
    claimed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    starts: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]
    last_error: Mapped[dict[str, Any] | None]
    history: Mapped[list[Any]] = mapped_column(default=list)

    correlation_id: Mapped[str] = mapped_column(String(64))
    causation_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        # Coalescing joins waiting rows only: an edit that arrives while its call is in flight makes a new row.
        Index(
            "uq_task_calls_coalesce_key_waiting",
            "coalesce_key",
            unique=True,
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index(
            "ix_task_calls_due",
            "queue",
            "priority",
            "due_at",
            postgresql_where=_WAITING,
            sqlite_where=_WAITING,
        ),
        Index("ix_task_calls_open", "state", "queue", postgresql_where=_OPEN, sqlite_where=_OPEN),
        Index("ix_task_calls_subject_kind", "subject", "kind"),
        Index("ix_task_calls_done_at", "done_at"),
        Index("ix_task_calls_started_at", "started_at"),
    )


def in_state(*states: CallState, of: type[TaskCall] = TaskCall) -> ColumnElement[bool]:
    """Calls in one of these open states, said so that both databases use the indexes of waiting and of open calls.

    SQLite takes a partial index only for a query that repeats its condition word for word (its documentation,
    "Partial Indexes", §3.1); any other one reads the whole history. `of` may be an alias.
    """
    if states == (CallState.WAITING,):
        return of.state == literal_column("'waiting'")
    is_open = of.state.in_([literal_column(f"'{state}'") for state in OPEN_STATES])
    return is_open if states == OPEN_STATES else and_(is_open, of.state.in_(states))


class EffectRecord(Base):
    """Append-only: one row for each effect, in the effect's own transaction, so no upsert can hide a double."""

    __tablename__ = "effects"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    call_id: Mapped[UUID] = mapped_column(index=True)
    generation: Mapped[int]
    owner: Mapped[str] = mapped_column(String(128))
    attempt: Mapped[int]
    task: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str | None] = mapped_column(String(32))
    subject: Mapped[UUID | None] = mapped_column(index=True)
    version: Mapped[int | None]
    correlation_id: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class LetterOrigin(StrEnum):
    """A `call` has a row that the letter can wake again; a `message` was found on the broker, and no row knows it."""

    CALL = "call"
    MESSAGE = "message"


class LetterEnd(StrEnum):
    """How a dead letter was closed. `superseded`: replayed, and a waiting call does its work already."""

    REPLAYED = "replayed"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


class DeadLetter(Base):
    """Work that cannot succeed (`FailedTask` of the seed): its reason, payload and history.

    `call_id` and `generation` name the message once and for all. A message that no call knows has a `call_id` made
    of its bytes, and the generation 0; its bytes are in `payload`, its headers in `headers`.
    """

    __tablename__ = "dead_letters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    call_id: Mapped[UUID] = mapped_column(index=True)
    generation: Mapped[int]
    origin: Mapped[LetterOrigin] = mapped_column(String(16), default=LetterOrigin.CALL, server_default="call")
    task: Mapped[str] = mapped_column(String(128))
    args: Mapped[list[Any]]
    queue: Mapped[str] = mapped_column(String(32))
    priority: Mapped[int]
    subject: Mapped[UUID | None] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(String(64))
    error: Mapped[dict[str, Any]]
    traceback: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int]
    history: Mapped[list[Any]] = mapped_column(default=list)
    headers: Mapped[dict[str, Any] | None]
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    closed_as: Mapped[LetterEnd | None] = mapped_column(String(16))
    closed_by: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("call_id", "generation"),)


class ScheduleTick(Base):
    """One tick of one schedule: the key that makes two beats insert one call."""

    __tablename__ = "schedule_ticks"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    tick: Mapped[datetime] = mapped_column(primary_key=True)
    call_id: Mapped[UUID]


class ProcessHeartbeat(Base):
    """A relay, worker, beat or API that is alive: written by itself, read by `/readyz` and `/workers/status`."""

    __tablename__ = "process_heartbeats"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    pid: Mapped[int]
    host: Mapped[str] = mapped_column(String(255))
    broker: Mapped[str] = mapped_column(Text)
    queues: Mapped[list[str]] = mapped_column(default=list)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    started_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class IdempotencyKey(Base):
    """The answer given to a request that carried `Idempotency-Key`, so that a repeat gets the same."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[dict[str, Any] | None]
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
