"""A searchable library on each database."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import app.models
from app.database import Database, open_database
from app.index import postgres_fts, sqlite_fts
from app.models.base import Base
from app.settings import load_settings
from chaos.servers.postgres import PostgresServer
from tests.integration.search.shelf import Shelf


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Database]:
    """Tables of all models and the engine's own, in a new database for each module."""
    for module in pkgutil.iter_modules(app.models.__path__):
        importlib.import_module(f"app.models.{module.name}")
    path: Path = tmp_path_factory.mktemp("search") / "library.sqlite3"
    url = f"sqlite:///{path}" if request.param == "sqlite" else postgres_server.create_database()
    database = open_database(load_settings(database_url=url))
    with database.writer() as session:
        Base.metadata.create_all(session.connection())
        (sqlite_fts if database.is_sqlite else postgres_fts).create_schema(session.connection())
    yield database
    database.engine.dispose()
    if not database.is_sqlite:
        postgres_server.drop_database(url)


@pytest.fixture
def shelf(database: Database) -> Iterator[Shelf]:
    """An empty library."""
    shelf = Shelf(database)
    yield shelf
    shelf.clear()
