"""Duplicates: resources with the same text, the newer ones pointing at the oldest."""

from __future__ import annotations

import hashlib
from uuid import UUID

from sqlalchemy import and_, case, func, null, or_, select, update
from sqlalchemy.orm import Session

from app.events.outbox import is_postgres
from app.models.resource import Resource


def fingerprint(text: str) -> str:
    """What two resources with the same text share."""
    return hashlib.sha256(text.encode()).hexdigest()


def hold(session: Session, content_sha256: str | None, *, leaving: UUID | None = None) -> None:
    """Until the commit nobody else changes which resources have this text, or the text that `leaving` has now.

    Without it two that come at once do not see each other. To be called before a resource is locked: who regroups
    locks the others of the group, and would wait in a circle. SQLite has one writer anyway.
    """
    if not is_postgres(session):
        return
    held = {content_sha256}
    if leaving is not None:
        held.add(session.scalar(select(Resource.content_sha256).where(Resource.id == leaving)))
    for sha256 in sorted(one for one in held if one):
        session.execute(select(func.pg_advisory_xact_lock(int(sha256[:15], 16))))


def regroup(session: Session, *content_sha256s: str | None) -> None:
    """Make `duplicate_of` right for all live resources with these texts: after each change of a text, and a deletion.

    The oldest, by creation and id, is nobody's duplicate; the others are the oldest's. No version moves. The caller
    holds these texts, see `hold`.
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
