"""INSERT … ON CONFLICT in the words of the session's database."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.models.base import Base


def insert_into(session: Session, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """An insert that can be told what to do on conflict, on either database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(model)
    return sqlite.insert(model)


def document_upsert(session: Session, values: dict[str, Any], *, newest: str, key: str, model: type[Base]) -> Any:
    """Insert, or update where the stored `newest` column is not above the given one."""
    statement: Any = insert_into(session, model).values(**values)
    kept = {name: statement.excluded[name] for name in values if name != key}
    return statement.on_conflict_do_update(
        index_elements=[key], set_=kept, where=getattr(model, newest) <= statement.excluded[newest]
    )
