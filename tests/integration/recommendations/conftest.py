"""A library of a few documents on each database, and users who do things with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.models.interaction import UserProfile
from app.models.outbox import TaskCall
from app.services import embeddings, interactions, profiles, quality, resources, search_indexing
from app.services.library import Library
from app.tasks.database_task import work_over
from app.tasks.task_names import TaskName
from tests.integration.libraries import a_library


@pytest.fixture
def library(migrated_url: str, cache_url: str) -> Iterator[Library]:
    with a_library(database_url=migrated_url, cache_url=cache_url) as library:
        work_over(library)
        yield library
        work_over(None)


class Readers:
    """Users of a library."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def document(self, content: str, **fields: Any) -> UUID:
        """With everything that is derived from it."""
        with self.library.work() as unit:
            created = resources.create(self.library, {"content": content, "title": content[:20], **fields}, unit=unit)
        one: UUID = created["id"]
        for build in (search_indexing.update, quality.recompute, embeddings.regenerate):
            build(self.library, one, work=self.library.work)
        return one

    def act(self, resource_id: UUID, type_: str = "view", *, user: str = "ada", **fields: Any) -> int:
        """Its number."""
        with self.library.work() as unit:
            acted = {"user_id": user, "resource_id": resource_id, "type": type_, **fields}
            return int(interactions.track(acted, unit=unit)["number"])

    def refresh(self, user: str = "ada") -> None:
        profiles.refresh(self.library, user, work=self.library.work)

    def profile(self, user: str = "ada") -> UserProfile | None:
        with self.library.database.reader() as session:
            return profiles.find(session, user)

    def calls(self) -> list[TaskCall]:
        """For profiles."""
        of_profiles = select(TaskCall).where(TaskCall.task == TaskName.REFRESH_RECOMMENDATION_PROFILE)
        with self.library.database.reader() as session:
            return list(session.scalars(of_profiles.order_by(TaskCall.created_at)))


@pytest.fixture
def readers(library: Library) -> Readers:
    return Readers(library)
