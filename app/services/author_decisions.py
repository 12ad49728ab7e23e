"""Author decisions: what a person says about who is who, kept for ever and stronger than every rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.events.event_types import EventType
from app.events.outbox import insert_of
from app.knowledge.author_grouping import MergeReason, ordered
from app.models.author import AuthorDecision, AuthorVariant, DecisionKind, ResourceAuthor
from app.models.base import new_id, now
from app.models.resource import Resource
from app.services import author_groups, author_pages, authors
from app.services.author_groups import TOLD_APART
from app.services.library import Library
from app.services.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The author that is left, and those that were made of what was taken away."""

    author_id: UUID
    split_off: list[UUID]


def merge(library: Library, author_id: UUID, other_ids: Sequence[UUID]) -> UUID:
    """These are one author; his id. Raises `NotFound`, `InvalidInput` (two ORCID iDs)."""
    with library.work() as unit:
        session = unit.session
        author_groups.hold(session)
        merged = {one.id: one for one in (author_pages.find(session, one) for one in (author_id, *other_ids))}
        if len(merged) < 2:  # they are one already
            return next(iter(merged))
        if len({author.orcid for author in merged.values()} - {None}) > 1:
            raise InvalidInput("these authors have different ORCID iDs, so they are not one person")
        members = {one: author_pages.variants_of(session, one) for one in merged}
        ids = list(merged)
        for number, one in enumerate(ids):
            for other in ids[number + 1 :]:
                _forget(session, DecisionKind.PARTED, _pairs(members[one], members[other]))
        # Each with each: when the documents of one are gone, what was said of the others holds.
        said = [[author.key, *_joined_by_hand(members[author.id])] for author in merged.values()]
        pairs = {ordered(*pair) for some, others in combinations(said, 2) for pair in product(some, others)}
        _remember(session, DecisionKind.JOINED, sorted(pairs))
        _regroup(unit, [variant for variants in members.values() for variant in variants])
        return author_pages.find(session, author_id).id


def split(library: Library, author_id: UUID, *, variant_ids: Sequence[UUID], resource_ids: Sequence[UUID]) -> Split:
    """These names, or the name on these resources, are somebody else, and are never merged with this author again.

    Raises `NotFound`, `InvalidInput` (not of this author, or nothing would be left of him).
    """
    with library.work() as unit:
        session = unit.session
        author_groups.hold(session, placing=resource_ids)
        author = author_pages.find(session, author_id)
        members = author_pages.variants_of(session, author.id)
        taken = [variant for variant in members if variant.id in set(variant_ids)]
        if len(taken) < len(set(variant_ids)):
            raise InvalidInput("variant_ids: not all of them are names of this author")
        rest = [variant for variant in members if variant not in taken]
        keys = [variant.key for variant in taken]
        if taken:
            if not rest:
                raise InvalidInput("variant_ids: at least one name must be left of this author")
            pairs = _pairs(taken, rest)
            _forget(session, DecisionKind.JOINED, pairs)
            _remember(session, DecisionKind.PARTED, pairs)
        if resource_ids:
            keys += _tell_apart(session, rest, resource_ids)
        _regroup(unit, members)
        return _outcome(session, rest, keys)


def _outcome(session: Session, rest: Sequence[AuthorVariant], keys: Iterable[str]) -> Split:
    chosen = select(AuthorVariant.author_id).where(AuthorVariant.key.in_(list(keys)))
    left = select(AuthorVariant.author_id).where(AuthorVariant.id.in_([variant.id for variant in rest]))
    return Split(
        author_id=session.scalars(left.order_by(AuthorVariant.key)).first() or rest[0].author_id,
        split_off=sorted(set(session.scalars(chosen))),
    )


def _tell_apart(session: Session, rest: Sequence[AuthorVariant], resource_ids: Sequence[UUID]) -> list[str]:
    """The names of this author on these resources get keys of their own; those keys."""
    mine = {variant.id: variant for variant in rest}
    chosen = select(ResourceAuthor).where(ResourceAuthor.variant_id.in_(mine))
    rows = session.scalars(chosen).all()
    taken = [row for row in rows if row.resource_id in set(resource_ids)]
    if {row.resource_id for row in taken} != set(resource_ids):
        raise InvalidInput("resource_ids: this author is not named on all of them")
    if len(taken) == len(rows):
        raise InvalidInput("resource_ids: at least one document must be left of this author")
    person = new_id().hex[-12:]
    keys = []
    for row in taken:
        base, _, _ = mine[row.variant_id].key.partition(TOLD_APART)
        _remember(session, DecisionKind.SOMEBODY_ELSE, [(base, str(row.resource_id))], person=person)
        keys.append(f"{base}{TOLD_APART}{person}")
    for resource_id in sorted({row.resource_id for row in taken}):
        resource = session.get(Resource, resource_id)
        if resource is not None and resource.deleted_at is None:
            authors.place(session, resource_id, authors.mentions_of(resource))
    return keys


def _joined_by_hand(variants: Iterable[AuthorVariant]) -> list[str]:
    return [variant.key for variant in variants if variant.reason == MergeReason.BY_HAND]


def _pairs(some: Sequence[AuthorVariant], others: Sequence[AuthorVariant]) -> list[tuple[str, str]]:
    return sorted({ordered(one.key, other.key) for one, other in product(some, others)})


def _remember(
    session: Session, kind: DecisionKind, pairs: Iterable[tuple[str, str]], *, person: str | None = None
) -> None:
    rows = [
        {"kind": kind, "first": first, "second": second, "person": person, "decided_at": now()}
        for first, second in pairs
    ]
    said = insert_of(session)(AuthorDecision)
    anew = {"person": said.excluded.person, "decided_at": said.excluded.decided_at}
    if rows:
        session.execute(said.on_conflict_do_update(index_elements=["kind", "first", "second"], set_=anew), rows)


def _forget(session: Session, kind: DecisionKind, pairs: Iterable[tuple[str, str]]) -> None:
    for first, second in pairs:
        said = (AuthorDecision.kind == kind, AuthorDecision.first == first, AuthorDecision.second == second)
        session.execute(delete(AuthorDecision).where(*said))


def _regroup(unit: UnitOfWork, variants: Sequence[AuthorVariant]) -> None:
    """And tell of one document of them."""
    author_groups.regroup(unit.session, {variant.block for variant in variants})
    named = select(ResourceAuthor.resource_id).where(ResourceAuthor.variant_id.in_([one.id for one in variants]))
    resource_id = unit.session.scalars(named.order_by(ResourceAuthor.resource_id).limit(1)).first()
    if resource_id is not None:
        unit.emit(EventType.AUTHORS_NORMALIZED, {"resource_id": str(resource_id)})


def opposite(session: Session, kind: str, first: str, second: str) -> AuthorDecision | None:
    """What says the contrary of the same two names."""
    contrary = {DecisionKind.JOINED: DecisionKind.PARTED, DecisionKind.PARTED: DecisionKind.JOINED}.get(
        DecisionKind(kind)
    )
    return session.get(AuthorDecision, (contrary, first, second)) if contrary is not None else None


def placed_by(values: Mapping[str, Any]) -> list[UUID]:
    """The resources whose names this decision changes: to be locked before the authors are held."""
    return [UUID(values["second"])] if values["kind"] == DecisionKind.SOMEBODY_ELSE else []


def restore(unit: UnitOfWork, values: Mapping[str, Any]) -> None:
    """Put a decision of another library, or of an earlier day, into force.

    The caller holds the authors, and the resources that are `placed_by` it.
    """
    session = unit.session
    against = opposite(session, values["kind"], values["first"], values["second"])
    if against is not None:
        session.delete(against)
    session.merge(AuthorDecision(**values))
    session.flush()
    if values["kind"] == DecisionKind.SOMEBODY_ELSE:
        resource = session.get(Resource, UUID(values["second"]))
        if resource is not None and resource.deleted_at is None and authors.of_resource(session, resource.id):
            authors.place(session, resource.id, authors.mentions_of(resource))
        return
    named = select(AuthorVariant).where(AuthorVariant.key.in_((values["first"], values["second"])))
    variants = session.scalars(named).all()
    if variants:
        _regroup(unit, variants)
