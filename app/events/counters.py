"""Named counters of the whole house, in a table: processes come and go, and most have no port to be asked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.events.outbox import insert_of
from app.models.derived import Counter


def read(session: Session, name: str) -> int:
    """Where a counter stands; 0 before it was ever moved."""
    return session.scalar(select(Counter.value).where(Counter.name == name)) or 0


def read_all(session: Session, names: Sequence[str]) -> dict[str, int]:
    """Where several stand, at one moment."""
    moved = session.execute(select(Counter.name, Counter.value).where(Counter.name.in_(names)))
    return dict.fromkeys(names, 0) | {row.name: row.value for row in moved}


def count(session: Session, name: str, more: int) -> int:
    """Add to a counter, which begins at 0, and return where it stands; two processes at once both count.

    Whoever else moves this counter waits for the commit.
    """
    statement: Any = insert_of(session)(Counter).values(name=name, value=more)
    added = statement.on_conflict_do_update(
        index_elements=[Counter.name], set_={"value": Counter.value + statement.excluded.value}
    )
    return int(session.scalars(added.returning(Counter.value)).one())


def forget(session: Session, name: str) -> None:
    """It begins at 0 again."""
    session.execute(delete(Counter).where(Counter.name == name).execution_options(synchronize_session=False))
