"""The database: its sessions, its pool, and which of its errors pass by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from app.database import Database, open_database
from app.errors import DatabaseUnavailable
from app.events import counters
from app.models.base import new_id
from app.models.derived import Counter
from app.models.resource import Resource
from app.settings import load_settings
from chaos.ports import free_port
from chaos.stack import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    with_pool = load_settings(database_url=migrated_url, db_pool_size=4, db_max_overflow=2)
    database = open_database(with_pool, role="api")
    yield database
    database.engine.dispose()


def test_writers_of_many_threads_lose_no_update(database: Database) -> None:
    with database.writer() as session:
        session.add(Counter(name="visits", value=0))

    def visit(_: int) -> None:
        with database.writer() as session:
            session.scalars(select(Counter).where(Counter.name == "visits").with_for_update()).one().value += 1

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(visit, range(60)))

    with database.reader() as session:
        assert session.get_one(Counter, "visits").value == 60


def test_the_pool_counts_its_connections(database: Database) -> None:
    with database.reader() as first, database.reader() as second:
        first.execute(text("SELECT 1"))
        second.execute(text("SELECT 1"))
        busy = database.pool_status()
    idle = database.pool_status()

    assert {"size", "checked_in", "checked_out", "overflow", "total"} <= set(busy)
    assert (busy["size"], busy["checked_out"], idle["checked_out"], idle["checked_in"]) == (4, 2, 0, 2)
    assert busy["total"] == busy["size"] + busy["overflow"]
    assert (idle["connects_total"], idle["checkouts_total"], idle["invalidations_total"]) == (2, 2, 0)


def test_a_pool_that_is_used_up_is_a_passing_error(migrated_url: str) -> None:
    tight = load_settings(database_url=migrated_url, db_pool_size=1, db_max_overflow=0, db_connect_timeout_seconds=1)
    database = open_database(tight, role="api")

    with database.reader() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(DatabaseUnavailable), database.reader() as other:
            other.execute(text("SELECT 1"))

    database.engine.dispose()


def test_the_pool_status_of_a_process_has_the_fields_of_the_seed(migrated_url: str) -> None:
    program = "import json; from app.database import get_pool_status; print(json.dumps(get_pool_status()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.defpath, "DATABASE_URL": migrated_url, "DB_POOL_SIZE": "7"},
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )

    status = json.loads(done.stdout)
    assert {"size", "checked_in", "checked_out", "overflow", "total"} <= set(status)
    assert (status["size"], status["checked_out"]) == (7, 0)


def test_a_row_that_may_not_be_stays_an_integrity_error(database: Database) -> None:
    with database.writer() as session:
        session.add(Resource(id=new_id(), title="one", ingest_key="url:http://a/"))

    with pytest.raises(IntegrityError), database.writer() as session:
        session.add(Resource(id=new_id(), title="two", ingest_key="url:http://a/"))

    with database.reader() as session:
        assert list(session.scalars(select(Resource.title))) == ["one"]


def test_a_deadlock_is_a_passing_error_of_one_of_the_two(migrated_postgres_url: str) -> None:
    database = open_database(load_settings(database_url=migrated_postgres_url), role="api")
    ids = [new_id(), new_id()]
    with database.writer() as session:
        session.add_all(Resource(id=one, title="old") for one in ids)
    both_hold_one = threading.Barrier(2, timeout=20)

    def change(first: UUID, second: UUID) -> str:
        try:
            with database.writer() as session:
                session.get_one(Resource, first, with_for_update=True).title = "new"
                session.flush()
                both_hold_one.wait()
                session.get_one(Resource, second, with_for_update=True)
        except DatabaseUnavailable as error:
            return error.slug
        return "committed"

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(change, ids, reversed(ids)))

    database.engine.dispose()
    assert sorted(ends) == ["committed", "database-unavailable"]


def test_connections_that_the_server_has_ended_are_replaced_before_anyone_uses_them(migrated_postgres_url: str) -> None:
    database = open_database(load_settings(database_url=migrated_postgres_url), role="api")
    executioner = open_database(load_settings(database_url=migrated_postgres_url))
    own = text("SELECT pg_backend_pid()")
    with database.reader() as first, database.glance() as second:
        ended = {first.scalar(own), second.scalar(own)}
    with executioner.reader() as session:
        for pid in ended:
            session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    with database.writer() as first, database.step() as second:
        used = {first.scalar(own), second.scalar(own)}

    for one in (database, executioner):
        one.engine.dispose()
    assert len(ended) == len(used) == 2
    assert not used & ended


def test_each_statement_of_a_step_is_committed_on_postgresql(migrated_postgres_url: str) -> None:
    database = open_database(load_settings(database_url=migrated_postgres_url))

    with suppress(ZeroDivisionError), database.step() as session:
        session.execute(insert(Counter).values(name="visits", value=1))
        raise ZeroDivisionError
    with suppress(ZeroDivisionError), database.writer() as session:  # on the same connection
        session.execute(update(Counter).values(value=2))
        raise ZeroDivisionError

    with database.glance() as session:
        assert session.scalar(select(Counter.value)) == 1
    assert database.pool_status()["connects_total"] == 1
    database.engine.dispose()


def test_a_server_that_goes_while_a_step_ends_costs_no_connection_of_the_pool(migrated_postgres_url: str) -> None:
    tight = load_settings(
        database_url=migrated_postgres_url,
        db_worker_pool_size=1,
        db_worker_max_overflow=0,
        db_connect_timeout_seconds=1,
    )
    database, executioner = open_database(tight), open_database(load_settings(database_url=migrated_postgres_url))

    for _ in range(2):  # connections that are used for the second time, as nearly all are
        with database.step() as session:
            session.execute(text("SELECT 1"))
    for _ in range(2):
        with database.step() as session, executioner.reader() as other:
            own = session.scalar(text("SELECT pg_backend_pid()"))
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": own})

    with database.step() as session:
        assert session.scalar(text("SELECT 1")) == 1
    for one in (database, executioner):
        one.engine.dispose()


def test_who_stands_still_in_a_transaction_is_cut_off(migrated_postgres_url: str) -> None:
    seconds = 2
    settings = load_settings(database_url=migrated_postgres_url, db_idle_in_transaction_seconds=seconds)
    database = open_database(settings)
    with database.writer() as session:
        counters.count(session, "visits", 1)

    def stand_still_while_another_counts() -> None:
        with database.writer() as frozen:
            frozen.execute(select(Counter).with_for_update())
            begun = time.monotonic()
            with database.writer() as other:
                counters.count(other, "visits", 1)
            waited.append(time.monotonic() - begun)
            frozen.execute(text("SELECT 1"))

    waited: list[float] = []
    with pytest.raises(DatabaseUnavailable):
        stand_still_while_another_counts()

    with database.reader() as session:
        assert counters.read(session, "visits") == 2
    database.engine.dispose()
    assert seconds - 1 < waited[0] < seconds + 5


def test_a_server_that_is_not_there_is_a_passing_error() -> None:
    database = open_database(load_settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))

    with pytest.raises(DatabaseUnavailable), database.reader() as session:
        session.execute(text("SELECT 1"))


def test_a_file_that_cannot_be_opened_is_a_passing_error(tmp_path: Path) -> None:
    place = tmp_path / "library.sqlite3"
    place.mkdir()
    database = open_database(load_settings(database_url=f"sqlite:///{place}"))

    with pytest.raises(DatabaseUnavailable), database.reader() as session:
        session.execute(text("SELECT 1"))
