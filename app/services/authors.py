"""Authors: the names on a resource, normalised, and the persons and groups they stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.events.event_types import EventType
from app.knowledge.author_lists import names_of
from app.knowledge.author_names import AuthorName, parse_name
from app.models.author import AuthorDecision, AuthorSet, AuthorVariant, DecisionKind, ResourceAuthor
from app.models.base import now
from app.models.derived import DerivedKind
from app.models.resource import Resource
from app.services import author_groups, derived_states
from app.services.author_groups import TOLD_APART
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One name on a resource, the key of its variant, and the field it is read from."""

    name: AuthorName
    key: str
    source: str


def normalise(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Make the authors of a resource right, and group what that changes; of a deleted one, take them away."""
    with library.database.reader() as session:
        resource = session.get(Resource, resource_id)
        known = session.get(AuthorSet, resource_id)
        state = derived_states.built_in_force(session, resource_id, DerivedKind.AUTHORS)
    if resource is None:
        with work():
            return
    version = resource.authors_version
    gone = resource.deleted_at is not None or resource.content_version == 0
    if gone or (known is not None and known.built_from == state == version):
        with work() as unit:
            if gone:
                _remove(unit, resource_id)
            else:
                unit.built(version)
        return
    mentions = mentions_of(resource)
    with work() as unit:
        _store(unit, resource_id, mentions, version=version)


def settle_if_none(session: Session, resource: Resource) -> bool:
    """Whether a resource names nobody: then that is written down at once, and there is nothing for a task to do.

    The caller holds the resource, which had no text before, so nothing was derived from it.
    """
    if resource.authors or resource.creator:
        return False
    _mark_built(session, resource.id, version=resource.authors_version)
    return True


def mentions_of(resource: Resource) -> list[Mention]:
    """The names on a resource in their order, each once: of its list of authors, else of its creator."""
    source = "authors" if resource.authors else "creator"
    values = resource.authors or ([resource.creator] if resource.creator else [])
    names = [name for written in names_of(values) if (name := parse_name(written)) is not None]
    # Two authors with one ORCID iD are a mistake of the document, and it cannot be told whose iD it is.
    claims = Counter(name.orcid for name in names if name.orcid is not None)
    sure = [replace(name, orcid=None) if name.orcid and claims[name.orcid] > 1 else name for name in names]
    first_of: dict[str, Mention] = {}
    for name in sure:
        first_of.setdefault(base_key(name), Mention(name=name, key=base_key(name), source=source))
    return list(first_of.values())


def base_key(name: AuthorName) -> str:
    """The key of a name before anybody has said that it is somebody else of that name."""
    return f"{name.key}@{name.orcid}" if name.orcid else name.key


def of_resource(session: Session, resource_id: UUID) -> list[tuple[ResourceAuthor, AuthorVariant]]:
    """The names of a resource with their variants, in the order of the by-line."""
    joined = select(ResourceAuthor, AuthorVariant).join(AuthorVariant, AuthorVariant.id == ResourceAuthor.variant_id)
    chosen = joined.where(ResourceAuthor.resource_id == resource_id).order_by(ResourceAuthor.position)
    return [(row[0], row[1]) for row in session.execute(chosen)]


def place(session: Session, resource_id: UUID, mentions: Sequence[Mention]) -> bool:
    """Write the names of a resource and group what that changes; whether anything did. The caller holds the authors."""
    mentions = _told_apart(session, resource_id, mentions)
    before = of_resource(session, resource_id)
    wanted = [(author_groups.id_of(one.key), one.name.written, one.source) for one in mentions]
    if wanted == [(row.variant_id, row.name, row.source) for row, _ in before]:
        return False
    variants = [author_groups.variant_for(session, one.name, one.key) for one in mentions]
    session.execute(delete(ResourceAuthor).where(ResourceAuthor.resource_id == resource_id))
    for position, (variant_id, name, source) in enumerate(wanted):
        session.add(
            ResourceAuthor(resource_id=resource_id, position=position, variant_id=variant_id, name=name, source=source)
        )
    author_groups.regroup(session, {variant.block for variant in (*variants, *(variant for _, variant in before))})
    return True


def _told_apart(session: Session, resource_id: UUID, mentions: Sequence[Mention]) -> list[Mention]:
    """With the keys of those whom a person has said to be somebody else."""
    said = select(AuthorDecision.first, AuthorDecision.person).where(
        AuthorDecision.kind == DecisionKind.SOMEBODY_ELSE, AuthorDecision.second == str(resource_id)
    )
    persons = dict(session.execute(said).all())
    return [
        replace(one, key=f"{one.key}{TOLD_APART}{persons[one.key]}") if one.key in persons else one for one in mentions
    ]


def _store(unit: UnitOfWork, resource_id: UUID, mentions: Sequence[Mention], *, version: int) -> None:
    session = unit.session
    if derived_states.lock_for_build(session, resource_id, DerivedKind.AUTHORS, version=version) is None:
        return
    author_groups.hold(session)
    unit.built(version)
    changed = place(session, resource_id, mentions)
    if not changed and derived_states.built_in_force(session, resource_id, DerivedKind.AUTHORS) == 0:
        # The same names, and perhaps other rules of what they have to do with each other.
        author_groups.regroup(session, {variant.block for _, variant in of_resource(session, resource_id)})
    _mark_built(session, resource_id, version=version)
    if changed:
        data = {"resource_id": str(resource_id), "authors_version": version, "authors": len(mentions)}
        unit.emit(EventType.AUTHORS_NORMALIZED, data)


def _mark_built(session: Session, resource_id: UUID, *, version: int) -> None:
    row = session.get(AuthorSet, resource_id) or AuthorSet(resource_id=resource_id)
    row.built_from, row.updated_at = version, now()
    session.add(row)
    derived_states.mark_built(session, resource_id, DerivedKind.AUTHORS, version=version)


def _remove(unit: UnitOfWork, resource_id: UUID) -> None:
    """Nothing of a resource that is deleted, which is looked at again under its lock."""
    session = unit.session
    row = session.scalars(select(Resource).where(Resource.id == resource_id).with_for_update()).one_or_none()
    if row is None or (row.deleted_at is None and row.content_version > 0):
        return
    author_groups.hold(session)
    place(session, resource_id, [])
    session.execute(delete(AuthorSet).where(AuthorSet.resource_id == resource_id))
