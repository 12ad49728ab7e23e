"""Alembic's entry: runs migrations on the connection that `app.migrate` hands over."""

from __future__ import annotations

from typing import Any

from alembic import context

from app.index.postgres_fts import TERMS_TABLE
from app.migrate import METADATA
from app.models.base import UtcDateTime


def _is_ours(_object: object, name: str | None, type_: str, _reflected: bool, _compare_to: object) -> bool:
    """Full-text tables are made by `app.index`; metadata cannot express them."""
    return not (
        type_ in {"table", "index"} and (name or "").removeprefix("ix_").startswith((TERMS_TABLE, "search_vocabulary"))
    )


def _render(type_: str, thing: Any, context_: Any) -> str | bool:
    if type_ == "type" and isinstance(thing, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if type_ == "type" and type(thing).__name__ == "JSON":
        context_.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), 'postgresql')"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    include_object=_is_ours,
    render_item=_render,
    compare_type=True,
    render_as_batch=False,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
