"""A migrated database on each engine, and a unit of work over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID

import pytest

from app.database import Database, open_database
from app.events.event_system import EventEmitter
from app.events.execution import StartedCall
from app.migrate import upgrade
from app.models.base import new_id
from app.models.resource import Resource
from app.services.unit_of_work import UnitOfWork, unit_of_work
from app.settings import Settings, load_settings
from tests.integration.outbox.edits import Begin


class NoCache:
    """A cache with nothing in it."""

    def delete_all(self, patterns: Iterable[str]) -> bool:
        return True

    def supersede(self, key: str, value: object, *, version: int) -> bool:
        return False


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    return load_settings(data_dir=tmp_path, database_url=url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    upgrade(settings)
    database = open_database(settings)
    yield database
    database.engine.dispose()


@pytest.fixture
def begin(database: Database) -> Begin:
    def begin_work(call: StartedCall | None = None) -> AbstractContextManager[UnitOfWork]:
        return unit_of_work(database, emitter=EventEmitter(), cache=NoCache(), debounce_scale=1.0, call=call)

    return begin_work


@pytest.fixture
def resource_id(begin: Begin) -> UUID:
    """A resource whose creation caused no call."""
    with begin() as unit:
        resource = Resource(id=new_id(), title="t", content="c", content_version=1)
        unit.session.add(resource)
    return resource.id
