"""The migrations on both databases: up, down to nothing, up again, and equal to the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect

from app.database import open_database
from app.migrate import METADATA, check, current_revision, downgrade, head_revision, upgrade
from app.settings import Settings, load_settings

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return load_settings(database_url=database_url, data_dir=tmp_path)


def tables_of(settings: Settings) -> set[str]:
    database = open_database(settings)
    names = set(inspect(database.engine).get_table_names())
    database.engine.dispose()
    return names


def revision_of(settings: Settings) -> str | None:
    database = open_database(settings)
    with database.reader() as session:
        revision = current_revision(session.connection())
    database.engine.dispose()
    return revision


def test_up_down_and_up_again_ends_where_the_models_are(settings: Settings) -> None:
    assert revision_of(settings) is None

    upgrade(settings)
    first = tables_of(settings)
    assert set(METADATA.tables) <= first
    assert revision_of(settings) == head_revision()
    check(settings)

    downgrade(settings, "base")
    assert tables_of(settings) == {"alembic_version"}
    assert revision_of(settings) is None

    upgrade(settings)
    assert tables_of(settings) == first
    assert revision_of(settings) == head_revision()
    check(settings)


def test_an_upgrade_of_what_is_up_changes_nothing(settings: Settings) -> None:
    upgrade(settings)
    before = tables_of(settings)

    upgrade(settings)

    assert tables_of(settings) == before
    assert revision_of(settings) == head_revision()
