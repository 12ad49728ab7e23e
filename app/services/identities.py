"""Identities: the keys by which a resource is found when others cite it, always in step with its metadata."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.knowledge.citations.identity import identity_keys
from app.models.citation import ResourceKey
from app.models.resource import Resource


def record(session: Session, resource: Resource) -> bool:
    """Write the keys of the locked resource; whether they changed."""
    wanted = identity_keys(
        doi=resource.doi,
        arxiv_id=resource.arxiv_id,
        identifier=resource.identifier,
        addresses=(resource.source, resource.fetch_url),
        title=resource.title,
    )
    held = set(session.scalars(select(ResourceKey.key).where(ResourceKey.resource_id == resource.id)))
    if wanted == held:
        return False
    session.flush()  # the resource itself may be new
    forget(session, resource.id, held - wanted)
    session.add_all(ResourceKey(resource_id=resource.id, key=key) for key in sorted(wanted - held))
    return True


def forget(session: Session, resource_id: UUID, keys: set[str] | None = None) -> None:
    """Take keys of a resource away; without `keys`, all of them."""
    gone = delete(ResourceKey).where(ResourceKey.resource_id == resource_id)
    if keys is None:
        session.execute(gone)
    elif keys:
        session.execute(gone.where(ResourceKey.key.in_(keys)))
