"""Texts: the beginning of a long one without reading all of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.resource import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """`text` is the first of `length_chars` characters."""

    text: str
    length_chars: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return len(self.text) >= self.length_chars


def text_of(session: Session, resource_id: UUID, *, limit_chars: int | None = None) -> TextPart:
    """The text of a resource, or its beginning, cut where a line or a word ends."""
    content = func.coalesce(Resource.content, "")
    shown = content if limit_chars is None else func.substr(content, 1, limit_chars)
    row = session.execute(
        select(shown.label("text"), func.length(content).label("length_chars")).where(Resource.id == resource_id)
    ).one_or_none()
    if row is None:
        return TextPart(text="", length_chars=0)
    part = TextPart(text=row.text, length_chars=row.length_chars)
    return part if part.is_whole else TextPart(text=_cut(part.text), length_chars=part.length_chars)


def _cut(text: str) -> str:
    """Without the unfinished line at the end, or the unfinished word of a line that is long."""
    third = len(text) // 3
    end = text.rfind("\n", 2 * third)
    if end < 0:
        end = text.rfind(" ", 2 * third)
    return text if end < 0 else text[:end]
