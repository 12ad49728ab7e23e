"""Named counters of the whole house, in a table: processes come and go, and most have no port to be asked at."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.events.outbox import insert_of
from app.models.derived import Counter


def count(session: Session, name: str, more: int) -> None:
    """Add to a counter, which begins at 0; two processes at once both count."""
    statement: Any = insert_of(session)(Counter).values(name=name, value=more)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Counter.name], set_={"value": Counter.value + statement.excluded.value}
        )
    )
