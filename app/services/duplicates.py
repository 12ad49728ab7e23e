"""Duplicates: resources with the same text, the newer ones pointing at the oldest."""

from __future__ import annotations

from sqlalchemy import and_, case, null, or_, select, update
from sqlalchemy.orm import Session

from app.models.resource import Resource


def regroup(session: Session, *content_sha256s: str | None) -> None:
    """Make `duplicate_of` right for all live resources with these texts: after each change of a text, and a deletion.

    The oldest, by creation and id, is nobody's duplicate; the others are the oldest's. No version moves.
    """
    session.flush()
    for sha256 in sorted({sha256 for sha256 in content_sha256s if sha256}):
        same = (Resource.content_sha256 == sha256, Resource.deleted_at.is_(None))
        oldest = session.scalar(select(Resource.id).where(*same).order_by(Resource.created_at, Resource.id).limit(1))
        if oldest is None:
            continue
        is_oldest = Resource.id == oldest
        wrong = or_(
            and_(is_oldest, Resource.duplicate_of.is_not(None)),
            and_(~is_oldest, Resource.duplicate_of.is_distinct_from(oldest)),
        )
        right = case((is_oldest, null()), else_=oldest)
        session.execute(
            update(Resource).where(*same, wrong).values(duplicate_of=right),
            execution_options={"synchronize_session": "fetch"},
        )
