"""Database: the engine, its sessions, and the figures of its connection pool."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import DatabaseBroken, DatabaseUnavailable, StartRefused
from app.rested_connections import ask_the_rested
from app.settings import Settings, get_settings
from app.write_gate import WriteGate

Role = Literal["api", "worker"]

# libpq's: a peer that has gone without a word is noticed within 25 seconds (the last is in milliseconds).
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}

# PostgreSQL: connection, resources, operator intervention, input and output, "run it again" (deadlock, serialisation,
# lock wait), and a server that is read-only after a failover.
_TRANSIENT_SQLSTATES = ("08", "53", "57", "58", "40", "55P03", "25006")
_TRANSIENT_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
}
_BROKEN_SQLITE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_WRITE = "alexandria_write"
_STEP = "alexandria_step"


@dataclass(slots=True)
class PoolCounters:
    """What happened in the pool since the start, counted by its events."""

    connects: int = 0
    checkouts: int = 0
    invalidations: int = 0


@dataclass(slots=True)
class Database:
    """One engine of one process. `writer()` and `reader()` are the only ways to a session.

    `step()` and `glance()` are the same for a single statement: on PostgreSQL it is a transaction by itself, which
    saves two of three round trips.
    """

    engine: Engine
    is_sqlite: bool
    counters: PoolCounters = field(default_factory=PoolCounters)
    pid: int = field(default_factory=os.getpid)
    _writers: sessionmaker[Session] = field(init=False)
    _readers: sessionmaker[Session] = field(init=False)
    _steps: sessionmaker[Session] = field(init=False)
    _glances: sessionmaker[Session] = field(init=False)

    def __post_init__(self) -> None:
        writing = self.engine.execution_options(**{_WRITE: True})
        self._writers, self._readers = _sessions(writing), _sessions(self.engine)
        if self.is_sqlite:
            self._steps, self._glances = self._writers, self._readers
        else:
            self._steps = self._glances = _sessions(self.engine.execution_options(**{_STEP: True}))

    @contextmanager
    def writer(self) -> Iterator[Session]:
        """A write transaction: committed at the end of the block, rolled back by an error.

        Raises `DatabaseUnavailable` when the database is away, busy or full, `DatabaseBroken` when it is none.
        """
        with _driver_errors_wrapped(self.engine), self._writers.begin() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """A session that reads one snapshot and writes nothing."""
        with _driver_errors_wrapped(self.engine), self._readers() as session:
            yield session

    @contextmanager
    def step(self) -> Iterator[Session]:
        """A session in which each statement is committed for itself (PostgreSQL), or all at the end (SQLite)."""
        with _driver_errors_wrapped(self.engine), self._steps.begin() as session:
            yield session

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """A session for one statement that reads."""
        with _driver_errors_wrapped(self.engine), self._glances() as session:
            yield session

    def pool_status(self) -> dict[str, int]:
        """Connections, as the seed names them, and the pool's counters since the start."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return {
            "size": pool.size(),
            "checked_in": pool.checkedin(),
            "checked_out": pool.checkedout(),
            "overflow": pool.overflow(),
            "total": pool.size() + pool.overflow(),
            "connects_total": self.counters.connects,
            "checkouts_total": self.counters.checkouts,
            "invalidations_total": self.counters.invalidations,
        }


def _sessions(bind: Engine) -> sessionmaker[Session]:
    return sessionmaker(bind=bind, autoflush=False, expire_on_commit=False)


def is_transient(error: DBAPIError) -> bool:
    """Whether the same statement may succeed later: read from codes, never from text."""
    if error.connection_invalidated:
        return True
    original = error.orig
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0)
        return (code & 0xFF) in _TRANSIENT_SQLITE
    code = getattr(original, "pgcode", None)
    if code is None:  # libpq sets none when the connection itself failed
        return isinstance(error, OperationalError | InterfaceError)
    return str(code).startswith(_TRANSIENT_SQLSTATES)


@contextmanager
def _driver_errors_wrapped(engine: Engine) -> Iterator[None]:
    driver = engine.dialect.loaded_dbapi
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("every database connection of this process is in use") from error
    except (driver.OperationalError, driver.InterfaceError) as error:  # on the way to or from the pool
        raise DatabaseUnavailable(f"DATABASE_URL: the database does not answer: {_said(error)}") from error
    except DBAPIError as error:
        said = _said(error.orig)
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _BROKEN_SQLITE:
            raise DatabaseBroken(f"DATABASE_URL: this is no SQLite database, or a damaged one: {said}") from error
        if not is_transient(error):
            raise
        raise DatabaseUnavailable(f"DATABASE_URL: the database does not answer: {said}") from error


def _said(error: BaseException | None) -> str:
    """In one line: libpq uses three."""
    return " ".join(str(error).split())


def open_database(settings: Settings, *, role: Role = "worker") -> Database:
    """An engine for a process of this role. It connects at first use, so no server fails here.

    Raises `StartRefused` when the directory of an SQLite file cannot be made.
    """
    url = make_url(settings.database)
    is_sqlite = url.get_backend_name() == "sqlite"
    if not is_sqlite:
        url = url.set(drivername="postgresql+psycopg2")
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=settings.db_pool_size if role == "api" else settings.db_worker_pool_size,
        max_overflow=settings.db_max_overflow if role == "api" else settings.db_worker_max_overflow,
        pool_recycle=settings.db_pool_recycle_seconds,
        pool_timeout=settings.db_connect_timeout_seconds,
        connect_args=_sqlite_arguments() if is_sqlite else _postgres_arguments(settings, role),
    )
    database = Database(engine=engine, is_sqlite=is_sqlite)
    _count_pool_events(engine, database.counters)
    if is_sqlite:
        _prepare_sqlite(engine, url, settings)
    else:
        ask_the_rested(engine)
        _let_steps_commit_themselves(engine)
    return database


def _sqlite_arguments() -> dict[str, Any]:
    return {"check_same_thread": False, "timeout": 5.0}


def _postgres_arguments(settings: Settings, role: Role) -> dict[str, Any]:
    """A process that stands still in a transaction is cut off: others wait for the rows that it holds."""
    parameters = {
        "statement_timeout": settings.db_statement_timeout_seconds * 1000,
        "idle_in_transaction_session_timeout": settings.db_idle_in_transaction_seconds * 1000,
        "timezone": "UTC",
    }
    return {
        "connect_timeout": settings.db_connect_timeout_seconds,
        "application_name": f"alexandria-{role}",
        "options": " ".join(f"-c {name}={value}" for name, value in parameters.items()),
        **KEEPALIVES,
    }


def _count_pool_events(engine: Engine, counters: PoolCounters) -> None:
    @event.listens_for(engine, "connect")
    def connected(_dbapi: object, _entry: ConnectionPoolEntry) -> None:
        counters.connects += 1

    @event.listens_for(engine, "checkout")
    def checked_out(_dbapi: object, _entry: ConnectionPoolEntry, _proxy: object) -> None:
        counters.checkouts += 1

    @event.listens_for(engine, "invalidate")
    def invalidated(_dbapi: object, _entry: ConnectionPoolEntry, _error: object) -> None:
        counters.invalidations += 1


def _let_steps_commit_themselves(engine: Engine) -> None:
    """By the driver's own switch, which asks no server.

    SQLAlchemy's isolation level "AUTOCOMMIT" sends a statement when a connection is taken and another when it is given
    back. Where the server has gone by then, the pool loses the place of that connection for good.
    """

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if connection.get_execution_options().get(_STEP):
            _driver_connection(connection.connection).autocommit = True

    @event.listens_for(engine, "reset")
    def given_back(connection: Any, _entry: ConnectionPoolEntry, _state: object) -> None:
        if connection.autocommit:
            connection.autocommit = False


def _driver_connection(connection: PoolProxiedConnection) -> Any:
    return connection.dbapi_connection


def _prepare_sqlite(engine: Engine, url: URL, settings: Settings) -> None:
    """Write-ahead log, foreign keys, and the write gate around every write transaction."""
    file = Path(url.database or "alexandria.sqlite3")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        name = "DATABASE_URL" if settings.database_url.get_secret_value() else "DATA_DIR"
        raise StartRefused(f"{name}: cannot write to {file.parent}: {error.strerror}") from error
    gate = WriteGate(file.with_name(file.name + ".write.lock"), timeout_seconds=settings.sqlite_write_timeout_seconds)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        for pragma in (
            "busy_timeout=5000",
            "journal_mode=WAL",
            f"synchronous={settings.sqlite_synchronous}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(_WRITE):
            connection.exec_driver_sql("BEGIN")
            return
        entry = connection.connection
        entry.info["gate"] = gate.acquire()
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    # The gate opens when the connection is back in the pool: after COMMIT or ROLLBACK, whatever happened before.
    @event.listens_for(engine, "checkin")
    def open_gate(_dbapi: object, entry: ConnectionPoolEntry) -> None:
        held = entry.info.pop("gate", None)
        if held is not None:
            gate.release(held)


_current: Database | None = None


def get_database(role: Role = "api") -> Database:
    """The database of this process; a forked child gets an engine of its own."""
    global _current  # noqa: PLW0603 — one engine a process is the point
    if _current is None or _current.pid != os.getpid():
        if _current is not None:
            _current.engine.dispose(close=False)
        _current = open_database(get_settings(), role=role)
    return _current


def get_db() -> Generator[Session]:
    """FastAPI dependency: a read session for the length of the request."""
    with get_database().reader() as session:
        yield session


def get_pool_status() -> dict[str, int]:
    """Connection pool figures of this process (the seed's names)."""
    return get_database().pool_status()
