"""API keys: who may use the HTTP API, and for what. Of the secret only its hash is kept."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, new_id, now

_IN_FORCE = text("revoked_at IS NULL")


class Scope(StrEnum):
    """What a key may do. None includes another."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class ApiKey(Base):
    """`prefix` is public and finds the row; `secret_sha256` needs no salt, because the secret is 256 random bits."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(8), unique=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_api_keys_name_in_force", "name", unique=True, postgresql_where=_IN_FORCE, sqlite_where=_IN_FORCE),
    )
