"""Author groups: the rules of `app.knowledge.author_grouping` applied to the rows that a change can reach.

Names of different blocks are joined only by one ORCID iD or by a person. So the blocks of the changed names, and all
that hang together with them in that way, are a closed set: grouping it gives what grouping the whole library would
give. Whoever changes names or decisions holds `hold`, so that no two transactions group beside each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from app.events.outbox import is_postgres
from app.knowledge.author_grouping import AuthorGroup, Decisions, Membership, NameNode, group_names
from app.knowledge.author_names import AuthorName, fold, parse_name
from app.models.author import Author, AuthorDecision, AuthorVariant, DecisionKind, ResourceAuthor
from app.models.base import now
from app.models.resource import Resource

_LOCK = 0x617574686F7273  # "authors"
_NAMES = UUID("6f1c2f6e-3f0e-5b53-9f0e-6b1d7c1f0a32")
"""Namespace of author ids (RFC 9562, version 5): the same name has the same id in every library."""
TOLD_APART = "#"


@dataclass(slots=True, kw_only=True)
class _Variant:
    """A row, and what grouping asks of it."""

    row: AuthorVariant
    spelling: AuthorName
    documents: frozenset[str] = frozenset()
    fellows: frozenset[str] = frozenset()


def hold(session: Session, *, placing: Iterable[UUID] = ()) -> None:
    """Until the commit nobody else changes authors. Taken after the lock of a resource, never before.

    `placing` are resources whose names the caller is going to write, which locks them: they are locked first.

    One lock for all of them: a change in one block reaches others by ways that are known only while they are read, and
    a transaction here takes some milliseconds. SQLite has one writer anyway.
    """
    if is_postgres(session):
        if ids := sorted(placing):
            rows = select(Resource.id).where(Resource.id.in_(ids)).order_by(Resource.id)
            session.execute(rows.with_for_update(read=True, key_share=True)).all()
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def id_of(key: str) -> UUID:
    """The id of the variant with this key, and of the author whose canonical variant it is."""
    return uuid5(_NAMES, key)


def variant_for(session: Session, name: AuthorName, key: str) -> AuthorVariant:
    """The variant of this key; a new one is an author by itself until the names are grouped."""
    found = session.get(AuthorVariant, id_of(key))
    if found is not None:
        return found
    session.add(Author(id=id_of(key), key=key, name=name.display, family=name.family))
    session.flush()
    variant = AuthorVariant(
        id=id_of(key),
        key=key,
        author_id=id_of(key),
        name=name.display,
        block=name.block,
        orcid=name.orcid,
        is_group=name.is_group,
        search=searched(name.display),
        reason="only_name",
        since=now(),
    )
    session.add(variant)
    session.flush()
    return variant


def searched(name: str) -> str:
    """Its words as `AuthorVariant.search` holds them."""
    return f" {fold(name)}"


def regroup(session: Session, blocks: Iterable[str]) -> None:
    """Group all names that a change in these blocks can reach, and make the rows of authors say so."""
    session.flush()
    rows = _closed(session, set(blocks))
    named = _spellings(session, rows)
    gone = [row for row in rows if row.id not in named]
    variants = {row.key: _Variant(row=row, spelling=named[row.id]) for row in rows if row.id in named}
    if len(variants) > 1:
        _read_documents(session, variants)
    groups = group_names((_node(variant) for variant in variants.values()), _decisions(session, variants))
    touched = {row.author_id for row in rows}
    for group in groups:
        _write(session, group, variants)
    session.flush()
    for row in gone:
        session.delete(row)
    session.flush()
    ended = touched - {id_of(group.canonical) for group in groups}
    if ended:
        session.execute(delete(Author).where(Author.id.in_(ended)).execution_options(synchronize_session="fetch"))


def _closed(session: Session, blocks: set[str]) -> list[AuthorVariant]:
    """Every variant of these blocks and of those that an ORCID iD or a decision ties to them."""
    found: dict[UUID, AuthorVariant] = {}
    seen: set[str] = set()
    while blocks - seen:
        fresh = blocks - seen
        seen |= fresh
        rows = session.scalars(select(AuthorVariant).where(AuthorVariant.block.in_(fresh))).all()
        found.update((row.id, row) for row in rows)
        keys, orcids = [row.key for row in rows], {row.orcid for row in rows if row.orcid is not None}
        tied = or_(AuthorVariant.orcid.in_(orcids), AuthorVariant.key.in_(_partners(session, keys)))
        blocks |= set(session.scalars(select(AuthorVariant.block).where(tied)))
    return sorted(found.values(), key=lambda row: row.key)


def _partners(session: Session, keys: Sequence[str]) -> set[str]:
    said = select(AuthorDecision.first, AuthorDecision.second).where(
        AuthorDecision.kind == DecisionKind.JOINED,
        or_(AuthorDecision.first.in_(keys), AuthorDecision.second.in_(keys)),
    )
    return {key for pair in session.execute(said) for key in pair}


def _spellings(session: Session, rows: Sequence[AuthorVariant]) -> dict[UUID, AuthorName]:
    """How each variant is shown: its most frequent spelling, of equal ones the one with more diacritics."""
    counted = (
        select(ResourceAuthor.variant_id, ResourceAuthor.name, func.count().label("times"))
        .where(ResourceAuthor.variant_id.in_([row.id for row in rows]))
        .group_by(ResourceAuthor.variant_id, ResourceAuthor.name)
    )
    best: dict[UUID, tuple[tuple[int, int, bool, str], AuthorName]] = {}
    for variant_id, written, times in session.execute(counted):
        name = parse_name(written) or AuthorName(written=written, family=written, is_group=True)
        rank = (-times, -sum(letter > "\x7f" for letter in name.display), name.display.isupper(), name.display)
        if variant_id not in best or rank < best[variant_id][0]:
            best[variant_id] = (rank, name)
    return {variant_id: name for variant_id, (_, name) in best.items()}


def _read_documents(session: Session, variants: dict[str, _Variant]) -> None:
    """On which documents each stands, and beside whom."""
    by_id = {variant.row.id: variant for variant in variants.values()}
    stands = select(ResourceAuthor.resource_id).where(ResourceAuthor.variant_id.in_(by_id))
    beside = (
        select(ResourceAuthor.resource_id, ResourceAuthor.variant_id, AuthorVariant.block, AuthorVariant.is_group)
        .join(AuthorVariant, AuthorVariant.id == ResourceAuthor.variant_id)
        .where(ResourceAuthor.resource_id.in_(stands))
    )
    documents: dict[UUID, list[tuple[UUID, str]]] = defaultdict(list)
    for resource_id, variant_id, block, is_group in session.execute(beside):
        documents[resource_id].append((variant_id, "" if is_group else block))
    mine: dict[UUID, set[str]] = defaultdict(set)
    fellows: dict[UUID, set[str]] = defaultdict(set)
    for resource_id, names in documents.items():
        for variant_id, own in names:
            mine[variant_id].add(str(resource_id))
            fellows[variant_id] |= {block for _, block in names if block and block != own}
    for variant_id, variant in by_id.items():
        variant.documents, variant.fellows = frozenset(mine[variant_id]), frozenset(fellows[variant_id])


def _decisions(session: Session, variants: dict[str, _Variant]) -> Decisions:
    pairs = select(AuthorDecision.kind, AuthorDecision.first, AuthorDecision.second).where(
        AuthorDecision.first.in_(variants), AuthorDecision.second.in_(variants)
    )
    said: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for kind, first, second in session.execute(pairs):
        said[kind].add((first, second))
    return Decisions(joined=frozenset(said[DecisionKind.JOINED]), parted=frozenset(said[DecisionKind.PARTED]))


def _node(variant: _Variant) -> NameNode:
    name = variant.spelling
    return NameNode(
        key=variant.row.key,
        name_key=name.key,
        block=variant.row.block,
        family_key=name.family_key,
        given=name.given_keys,
        suffix=name.suffix_key,
        orcid=variant.row.orcid,
        is_group=name.is_group,
        is_told_apart=TOLD_APART in variant.row.key,
        documents=variant.documents,
        fellows=variant.fellows,
    )


def _write(session: Session, group: AuthorGroup, variants: dict[str, _Variant]) -> None:
    """Only what differs is written: grouping again writes nothing."""
    author_id, members = id_of(group.canonical), [variants[member.key] for member in group.members]
    name = _shown_name(variants[group.canonical].spelling, members)
    author = session.get(Author, author_id)
    if author is None:
        author = Author(id=author_id, key=group.canonical)
        session.add(author)
    author.name, author.family, author.given = name.display, name.family, " ".join(name.given)
    author.particles, author.suffix, author.is_group = name.particles, name.suffix, name.is_group
    author.orcid = min((variant.row.orcid for variant in members if variant.row.orcid), default=None)
    author.variant_count = len(members)
    author.document_count = _count_documents(session, members)
    session.flush()
    for member in group.members:
        _assign(variants[member.key], member, author_id)


def _shown_name(canonical: AuthorName, members: Sequence[_Variant]) -> AuthorName:
    """Of the spellings of the fullest name the one with most diacritics."""
    same = [variant.spelling for variant in members if variant.spelling.key == canonical.key]
    return min(same, key=lambda name: (-sum(letter > "\x7f" for letter in name.display), name.display))


def _count_documents(session: Session, members: Sequence[_Variant]) -> int:
    documents = frozenset().union(*(variant.documents for variant in members))
    if documents:
        return len(documents)
    ids = [variant.row.id for variant in members]
    counted = select(func.count(ResourceAuthor.resource_id.distinct())).where(ResourceAuthor.variant_id.in_(ids))
    return session.scalar(counted) or 0


def _assign(variant: _Variant, member: Membership, author_id: UUID) -> None:
    row = variant.row
    moved = (row.author_id, row.reason, row.linked_to) != (author_id, member.reason, member.linked_to)
    row.author_id, row.reason, row.linked_to = author_id, str(member.reason), member.linked_to
    row.evidence = member.evidence
    row.name, row.search = variant.spelling.display, searched(variant.spelling.display)
    if moved:
        row.since = now()
