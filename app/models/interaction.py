"""Interactions of users with resources, and the profile of taste that each user's interactions make."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now

USER_ID_LENGTH_MAX = 128


class InteractionType(StrEnum):
    """What a user did with a resource."""

    VIEW = "view"
    ANNOTATION = "annotation"
    COLLECTION_ADD = "collection_add"
    EXPORT = "export"
    RATING = "rating"


class Interaction(Base):
    """Append-only. `number` counts the interactions of one user from 1, in the order of their commits.

    `id` is that of the event that tells of it: who forgets a user finds both.
    """

    __tablename__ = "interactions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(USER_ID_LENGTH_MAX))
    number: Mapped[int]
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"))
    type: Mapped[InteractionType] = mapped_column(String(16))
    rating: Mapped[int | None]
    at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        Index("uq_interactions_user_id_number", "user_id", "number", unique=True),
        Index("ix_interactions_user_id_resource_id", "user_id", "resource_id"),
        Index("ix_interactions_resource_id", "resource_id"),  # for ON DELETE CASCADE, and how popular a resource is
        Index("ix_interactions_at", "at"),
    )


class UserProfile(Base):
    """What a user likes, as built from the first `built_from` of `total_interactions`; 0: not built yet.

    The row is there from the first interaction on, and its lock is what numbers them. `id` is another one for a user
    who was forgotten and comes again; `revision` counts the builds. `vector`: little-endian float32 of unit length,
    made of embeddings of `model_id`, or None while nothing liked has one. `inputs` is a sum over the documents that
    it was built from: another sum means that one of them has changed, see `services.profiles`.
    """

    __tablename__ = "user_profiles"

    user_id: Mapped[str] = mapped_column(String(USER_ID_LENGTH_MAX), primary_key=True)
    id: Mapped[UUID] = mapped_column(default=new_id)
    total_interactions: Mapped[int] = mapped_column(default=0)
    built_from: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)
    model_id: Mapped[str | None] = mapped_column(String(128))
    inputs: Mapped[int] = mapped_column(BigInteger, default=0)
    vector: Mapped[bytes | None] = mapped_column(LargeBinary)
    subjects: Mapped[dict[str, Any]] = mapped_column(default=dict)
    authors: Mapped[dict[str, Any]] = mapped_column(default=dict)
    likings: Mapped[list[Any]] = mapped_column(default=list)
    updated_at: Mapped[datetime] = mapped_column(default=now)
