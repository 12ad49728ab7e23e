"""Both databases, for the tests of this folder that ask for a URL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.migrate import upgrade
from app.services.library import Library
from app.settings import load_settings
from tests.integration.libraries import a_library


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'library.sqlite3'}"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database at the newest migration, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "library.sqlite3"
    upgrade(load_settings(database_url=f"sqlite:///{file}"))
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with all tables, for the price of a copy."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("migrated_postgres_url")
        return url
    source: Path = request.getfixturevalue("migrated_file")
    return f"sqlite:///{shutil.copy(source, tmp_path)}"


@pytest.fixture
def sqlite_library(migrated_file: Path, tmp_path: Path, cache_url: str) -> Iterator[Library]:
    """For what is asked of SQLite alone."""
    copy = tmp_path / "library.sqlite3"
    copy.write_bytes(migrated_file.read_bytes())
    with a_library(database_url=f"sqlite:///{copy}", cache_url=cache_url) as library:
        yield library
