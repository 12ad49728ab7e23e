"""Vital signs: what the background samplers ask the database, the broker and the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.orm import Session

from app.api.queue_service import UNKNOWN, QueueExamination, QueueService
from app.cache.redis_cache import RedisCache
from app.database import Database
from app.errors import AlexandriaError
from app.models.base import now
from app.models.outbox import ProcessHeartbeat
from app.services import active_broker
from app.services.active_broker import Active
from app.services.broker_news import News
from app.services.presence import MISSED_AFTER_SECONDS
from app.transports.base import QueueDepth, Transport

SAMPLE_SECONDS = 0.5
BROKER_DEADLINE_SECONDS = 0.8
# Older than this, a sample says nothing: whoever takes it hangs on a silent server.
SILENT_AFTER_SECONDS = 4.0
DECLARED_EVERY_SECONDS = 30.0
ALEMBIC_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A relay or worker that was seen within the last seconds."""

    name: str
    role: str
    broker: str
    queues: tuple[str, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """Of the tables, and of the migrations this program brings."""

    current: str | None
    head: str

    @property
    def match(self) -> bool:
        """Whether the tables are what this program expects."""
        return self.current == self.head


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSign:
    """What the tables say of the house."""

    revisions: Revisions
    present: tuple[Presence, ...]
    queues: QueueService
    active: Active | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSign:
    """Depths of the queues, and what is wrong with the broker's set-up though it answers."""

    fingerprint: str
    complaints: tuple[str, ...]
    depths: Mapping[str, QueueDepth]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSign:
    """Whether the cache took a value within its deadline."""

    answers: bool


class DatabaseExamination:
    """Asks the database; of the queues, which costs more, less often."""

    def __init__(self, database: Database, *, head: Callable[[], str], canary_interval_seconds: float) -> None:
        self._database = database
        self._head = head
        self._queues = QueueExamination(canary_interval_seconds=canary_interval_seconds)

    def __call__(self) -> DatabaseSign:
        """One sample; raises `DatabaseUnavailable`."""
        with self._database.reader() as session:
            revisions = Revisions(current=_current_revision(session.connection()), head=self._head())
            if not revisions.match:  # then the tables below may not be there
                return DatabaseSign(revisions=revisions, present=(), queues=UNKNOWN)
            return DatabaseSign(
                revisions=revisions,
                present=_present(session),
                queues=self._queues(session),
                active=active_broker.active(session),
            )


class BrokerExamination:
    """Asks the broker, and tells the log once what is wrong with it. Queues are declared as every process does it:
    a broker that holds them with other arguments says so.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._declared_at = -DECLARED_EVERY_SECONDS
        self._news = News()

    def __call__(self) -> BrokerSign:
        """One sample; raises `TransportUnavailable`, `TransportRejected`."""
        try:
            sign = self._ask()
        except AlexandriaError as error:
            self._news.tell(self._transport.fingerprint, (error.detail,))
            raise
        self._news.tell(self._transport.fingerprint, sign.complaints)
        return sign

    def _ask(self) -> BrokerSign:
        if monotonic() - self._declared_at > DECLARED_EVERY_SECONDS:
            self._transport.declare(deadline_seconds=BROKER_DEADLINE_SECONDS)
            self._declared_at = monotonic()
        complaints = self._transport.health(deadline_seconds=BROKER_DEADLINE_SECONDS)
        depths = self._transport.depths(deadline_seconds=BROKER_DEADLINE_SECONDS)
        return BrokerSign(fingerprint=self._transport.fingerprint, complaints=complaints, depths=depths)


class CacheExamination:
    """Asks the cache."""

    def __init__(self, cache: RedisCache) -> None:
        self._cache = cache

    def __call__(self) -> CacheSign:
        """One sample. A deadline of 50 ms may be missed once on a busy machine: asked twice."""
        return CacheSign(answers=self._answers() or self._answers())

    def _answers(self) -> bool:
        return self._cache.set("vital_sign", 1, ttl=60)


def _current_revision(connection: Connection) -> str | None:
    """Read from Alembic's table: its own reader writes a line in the log each time, and this is twice a second."""
    if not inspect(connection).has_table(ALEMBIC_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(ALEMBIC_TABLE))).scalars().first()


def _present(session: Session) -> tuple[Presence, ...]:
    seen = ProcessHeartbeat.seen_at >= now() - timedelta(seconds=MISSED_AFTER_SECONDS)
    return tuple(
        Presence(name=row.name, role=row.role, broker=row.broker, queues=tuple(row.queues), started_at=row.started_at)
        for row in session.scalars(select(ProcessHeartbeat).where(seen))
    )
