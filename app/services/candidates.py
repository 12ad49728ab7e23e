"""Candidates: the documents that may be recommended to a user, from several sources, with what they are judged by.

A source names documents, best first; it does not say how good they are: each candidate is judged by all parts,
whichever source it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Select, and_, case, func, or_, select, union, union_all
from sqlalchemy.orm import Session, aliased

from app.errors import EmbedderUnavailable
from app.index.matching import is_live
from app.knowledge.taste import MIDDLE_RATING
from app.models.base import now
from app.models.citation import Citation
from app.models.derived import Embedding, QualityScore
from app.models.interaction import Interaction, UserProfile
from app.models.resource import Resource
from app.models.search import SearchDocument, SearchSubject
from app.services.citation_edges import is_edge
from app.services.library import Library
from app.services.profiles import authors_of

NEAR_MAX = 200
OTHERS_MAX = 100
"""What each source names at most."""
TERMS_ASKED = 5
RECENT_MAX = 5_000
"""Newest interactions by which popularity is told."""
_ACTS: Any = select(Interaction.resource_id, Interaction.user_id, Interaction.at, Interaction.rating)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Whom candidates are for; `profile` None, or not built, or of nothing liked: there is no taste."""

    user_id: str
    profile: UserProfile | None
    half_life: timedelta

    @property
    def has_taste(self) -> bool:
        """Whether anything is known that the user likes."""
        return self.profile is not None and bool(self.profile.likings)

    @property
    def liked(self) -> Mapping[UUID, float]:
        """How much each document is liked that the taste names, the most liked first."""
        return {UUID(one["resource_id"]): one["weight"] for one in self.profile.likings} if self.profile else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A live document that the user has not seen and that is nobody's duplicate. `vector`: see `Embedding`.

    `joined`: the liked documents that it cites or is cited by.
    """

    id: UUID
    subjects: Sequence[str]
    authors: Sequence[str]
    created_at: datetime
    quality: float
    likes: float
    vector: bytes | None
    joined: frozenset[UUID]


class Source(Protocol):
    """Names documents for a user."""

    def __call__(self, library: Library, session: Session, asker: Asker) -> Iterable[UUID]:
        """A few hundred ids at most, the same as long as nothing changes; seen and deleted ones may be among them."""
        ...


def near_in_meaning(library: Library, session: Session, asker: Asker) -> list[UUID]:
    """Whose passages are nearest to the taste; none while this process has no embedding model, or has another one."""
    profile = asker.profile
    if profile is None or profile.vector is None or profile.model_id != library.embedding_model:
        return []
    import numpy as np  # noqa: PLC0415 — a process that recommends nothing does not load it

    try:
        vectors = library.vectors()
    except EmbedderUnavailable:
        return []
    vectors.refresh(session)
    # What the user has seen is nearest to the taste, and not wanted.
    limit = NEAR_MAX + min(profile.total_interactions, 1000)
    taste = np.frombuffer(profile.vector, dtype="<f4")
    return [near.resource_id for near in vectors.nearest(taste, limit=limit)]


def of_liked_subjects(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """Which have a subject that the user likes, the best first."""
    liked = _liked(asker.profile.subjects if asker.profile else {})
    if not liked:
        return []
    with_subject = select(SearchSubject.number).where(SearchSubject.subject.in_(liked))
    return _best(session, SearchDocument.number.in_(with_subject))


def of_liked_authors(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """Which are by an author that the user likes, the best first."""
    liked = _liked(asker.profile.authors if asker.profile else {})
    return _best(session, SearchDocument.creator.in_(liked)) if liked else []


def joined_by_citations(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """What the documents that the user likes cite, and what cites them: those that most of these are joined with."""
    if not asker.has_taste:
        return []
    joints = _joints(asker).subquery()
    most = select(joints.c.id).group_by(joints.c.id).order_by(func.count().desc(), joints.c.id)
    return list(session.scalars(most.limit(OTHERS_MAX)))


def of_best_quality(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """The best of all."""
    best = select(QualityScore.resource_id).where(is_live(QualityScore.resource_id))  # scores stay until the sweep
    ordered = best.order_by(QualityScore.overall.desc(), QualityScore.resource_id)
    return list(session.scalars(ordered.limit(OTHERS_MAX)))


def newest(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """Which came last into the library."""
    last = select(Resource.id).where(Resource.deleted_at.is_(None))
    return list(session.scalars(last.order_by(Resource.created_at.desc(), Resource.id.desc()).limit(OTHERS_MAX)))


def most_popular(library: Library, session: Session, asker: Asker) -> list[UUID]:  # noqa: ARG001 — a source
    """What other users liked of late."""
    recent = _ACTS.order_by(Interaction.at.desc(), Interaction.id.desc()).limit(RECENT_MAX)
    return [row.resource_id for row in session.execute(_likes(recent, asker).limit(OTHERS_MAX))]


SOURCES: tuple[Source, ...] = (
    near_in_meaning,
    of_liked_subjects,
    of_liked_authors,
    joined_by_citations,
    of_best_quality,
    newest,
    most_popular,
)


def candidates_for(
    library: Library, session: Session, asker: Asker, *, sources: Sequence[Source] = SOURCES
) -> list[Candidate]:
    """What all sources name, in the order of ids."""
    named = sorted({one for source in sources for one in source(library, session, asker)})
    seen = seen_among(session, asker.user_id, named)
    unseen = [one for one in named if one not in seen]
    of_these = _ACTS.where(Interaction.resource_id.in_(unseen))
    likes = {row.resource_id: float(row.likes) for row in session.execute(_likes(of_these, asker))}
    joined = _joined(session, unseen, asker)
    return [
        Candidate(
            id=row.id,
            subjects=row.subject,
            authors=authors_of(row),
            created_at=row.created_at,
            quality=row.overall or 0.0,
            likes=likes.get(row.id, 0.0),
            vector=row.vector if row.passage_count else None,
            joined=frozenset(joined.get(row.id, ())),
        )
        for row in session.execute(_facts(unseen, embedding_model=library.embedding_model))
    ]


def seen_among(session: Session, user_id: str, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these the user has done anything with, or with a duplicate of it."""
    own = select(Interaction.resource_id).where(Interaction.user_id == user_id, Interaction.resource_id.in_(ids))
    copy = aliased(Resource)
    by_copy = (
        select(copy.duplicate_of)
        .join(Interaction, Interaction.resource_id == copy.id)
        .where(Interaction.user_id == user_id, copy.duplicate_of.in_(ids))
    )
    return {one for one in session.scalars(union_all(own, by_copy)) if one is not None}


def _liked(terms: Mapping[str, float]) -> list[str]:
    return sorted((term for term in terms if terms[term] > 0), key=lambda term: (-terms[term], term))[:TERMS_ASKED]


def _best(session: Session, condition: Any) -> list[UUID]:
    found = (
        select(SearchDocument.resource_id)
        .outerjoin(QualityScore, QualityScore.resource_id == SearchDocument.resource_id)
        .where(condition)
        .order_by(func.coalesce(QualityScore.overall, 0.0).desc(), SearchDocument.resource_id)
    )
    return list(session.scalars(found.limit(OTHERS_MAX)))


def _joints(asker: Asker) -> Any:
    """Each document that a citation joins with a liked one, and that one, whichever of the two cites the other."""
    liked, source, target = list(asker.liked), Citation.resource_id, Citation.target_resource_id
    cited = select(target.label("id"), source.label("liked")).where(source.in_(liked), is_edge())
    return union(cited, select(source.label("id"), target.label("liked")).where(target.in_(liked), is_edge()))


def _joined(session: Session, ids: Sequence[UUID], asker: Asker) -> Mapping[UUID, set[UUID]]:
    """The liked documents that each of these is joined with."""
    found: dict[UUID, set[UUID]] = {}
    if asker.has_taste:
        joints = _joints(asker).subquery()
        for row in session.execute(select(joints.c.id, joints.c.liked).where(joints.c.id.in_(ids))):
            found.setdefault(row.id, set()).add(row.liked)
    return found


def _likes(interactions: Any, asker: Asker) -> Select[UUID, float]:
    """How many others liked a document, the most liked first: each counts once, by half less a half-life, in steps."""
    moment, half_life = now(), asker.half_life
    some = interactions.subquery()
    pleased = or_(some.c.rating.is_(None), some.c.rating >= MIDDLE_RATING)
    others = and_(some.c.user_id != asker.user_id, some.c.at > moment - 4 * half_life, pleased)
    each = (
        select(some.c.resource_id, some.c.user_id, func.max(some.c.at).label("at"))
        .where(others)
        .group_by(some.c.resource_id, some.c.user_id)
        .subquery()
    )
    steps = [(each.c.at > moment - age * half_life, 0.5 ** (age - 1)) for age in (1, 2, 3)]
    likes = func.sum(case(*steps, else_=0.5**3)).label("likes")
    return select(each.c.resource_id, likes).group_by(each.c.resource_id).order_by(likes.desc(), each.c.resource_id)


def _facts(ids: Sequence[UUID], *, embedding_model: str) -> Any:
    columns = (Resource.id, Resource.subject, Resource.authors, Resource.creator, Resource.created_at)
    of_model = and_(Embedding.resource_id == Resource.id, Embedding.model_id == embedding_model)
    return (
        select(*columns, QualityScore.overall, Embedding.vector, Embedding.passage_count)
        .outerjoin(QualityScore, QualityScore.resource_id == Resource.id)
        .outerjoin(Embedding, of_model)
        .where(
            Resource.id.in_(ids),
            Resource.deleted_at.is_(None),
            Resource.duplicate_of.is_(None),
            Resource.content_version > 0,
        )
        .order_by(Resource.id)
    )
