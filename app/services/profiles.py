"""Profiles: what each user likes, built from their interactions and from the documents those were with.

A profile is stale while it is built from fewer interactions than there are, by another embedding model than the one in
force, or from documents that have changed since: edited, embedded anew, or deleted. `inputs` tells the last: a sum
over the interactions of the versions of their documents and of the change numbers of their embeddings. The hook
table sees to the first, the reconciler to all: to the last for a slice of the users in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, or_, select
from sqlalchemy.orm import Session

from app.events.event_types import EventType
from app.events.hooks import coalesce_key, refresh_profile
from app.knowledge.taste import Act, KnownDocument, Taste, taste_of
from app.models.base import now
from app.models.derived import Embedding
from app.models.interaction import Interaction, UserProfile
from app.models.outbox import OPEN_STATES, DeadLetter, TaskCall, in_state
from app.models.resource import Resource
from app.services import rounds
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork
from app.tasks.task_names import TaskName

HISTORY_MAX = 1000
"""Newest interactions that a profile is built from: what is older has decayed, and the work is bounded."""
RECONCILE_SLICE = 200
"""Users whose documents are looked at in one run of the reconciler: at most 200 000 interactions are summed."""
LOOKED_AT = "profiles_looked_at"
"""Name of the round over the users, in the order of their ids, whose documents are looked at."""


def find(session: Session, user_id: str) -> UserProfile | None:
    """The profile of a user; not there before the first interaction, and with `built_from` 0 until it is built."""
    return session.get(UserProfile, user_id)


def edition(session: Session, user_id: str) -> tuple[UUID | None, int]:
    """Which profile a user has, and its revision; None and 0 before the first interaction. Reads no more than that."""
    row = session.execute(select(UserProfile.id, UserProfile.revision).where(UserProfile.user_id == user_id)).first()
    return (None, 0) if row is None else (row.id, row.revision)


def refresh(library: Library, user_id: str, *, work: Work) -> None:
    """Build the profile from all interactions there are, unless it is built from just these."""
    with library.database.reader() as session:
        known = find(session, user_id)
        if known is not None:
            total, inputs = known.total_interactions, _inputs(session, known)
            history = _history(session, user_id, total=total, embedding_model=library.embedding_model)
    if known is None:  # forgotten
        with work():
            return
    if (known.built_from, known.model_id, known.inputs) == (total, library.embedding_model, inputs):
        with work() as unit:
            unit.built(total)
            return
    taste = _taste(history, half_life=timedelta(days=library.settings.recommendation_half_life_days))
    with work() as unit:
        _store(unit, known, taste, total=total, inputs=inputs, model_id=library.embedding_model)


def read(library: Library, user_id: str) -> dict[str, Any]:
    """What is known of a user's taste, as clients see it; `state` is `none` for a user who did nothing yet."""
    with library.database.reader() as session:
        row = find(session, user_id)
        is_fresh = row is not None and _is_fresh(session, row, embedding_model=library.embedding_model)
    if row is None:
        return {"user_id": user_id, "state": "none", "total_interactions": 0, "built_from": 0}
    names = ("user_id", "total_interactions", "built_from", "subjects", "authors", "likings", "model_id", "updated_at")
    shown = {name: getattr(row, name) for name in names}
    return {**shown, "state": "fresh" if is_fresh else "stale", "has_vector": row.vector is not None}


def count_stale(session: Session, *, embedding_model: str) -> int:
    """Profiles that are behind their interactions or the embedding model in force."""
    behind = select(func.count()).select_from(UserProfile).where(_is_behind(embedding_model))
    return session.scalar(behind) or 0


def reconcile(library: Library, *, most: int = RECONCILE_SLICE) -> int:
    """Call for the refresh of stale profiles that no open call is for; how many there were.

    At most `most` of those that are behind their interactions or the embedding model, which their rows say. Whether
    documents have changed is looked at for the next `most` users after those of the last run, and then from the first
    again: summing over all of them would cost more each minute than there is to find.
    """
    with library.database.reader() as session:  # looking takes long, and keeps nobody waiting
        place = rounds.place(session, LOOKED_AT)
        users = list(
            session.scalars(select(UserProfile.user_id).order_by(UserProfile.user_id).offset(place).limit(most))
        )
        behind = session.execute(_forgotten(_is_behind(library.embedding_model)).limit(most)).all()
        changed = session.execute(_forgotten(_has_changed_inputs(), UserProfile.user_id.in_(users))).all()
    stale = {row.user_id: row.total for row in (*behind, *changed)}
    with library.work() as unit:
        rounds.move_on(unit.session, LOOKED_AT, place=place, seen=len(users), most=most)
        unit.enqueue(*(refresh_profile(user_id, total_interactions=total) for user_id, total in stale.items()))
    return len(stale)


def reconcile_all(library: Library, *, most: int = RECONCILE_SLICE) -> int:
    """`reconcile` until every user was looked at and no profile is left to call for."""
    with library.work() as unit:
        rounds.begin(unit.session, LOOKED_AT)
    called = 0
    while True:
        behind = reconcile(library, most=most)
        called += behind
        with library.database.reader() as session:
            is_round_over = rounds.place(session, LOOKED_AT) == 0
        if is_round_over and not behind:
            return called


def _is_fresh(session: Session, row: UserProfile, *, embedding_model: str) -> bool:
    is_whole = row.built_from == row.total_interactions and row.model_id == embedding_model
    return is_whole and row.inputs == _inputs(session, row)


def _considered(user_id: Any, total: Any) -> Any:
    """The interactions that a profile of so many is built from: all of them are committed."""
    return and_(Interaction.user_id == user_id, Interaction.number <= total, Interaction.number > total - HISTORY_MAX)


def _sum_of_inputs(user_id: Any, total: Any) -> Select[int]:
    one = Resource.version + func.coalesce(Embedding.change, 0)
    return (
        select(func.coalesce(func.sum(one), 0))
        .select_from(Interaction)
        .join(Resource, and_(Resource.id == Interaction.resource_id, Resource.deleted_at.is_(None)))
        .outerjoin(Embedding, Embedding.resource_id == Interaction.resource_id)
        .where(_considered(user_id, total))
    )


def _inputs(session: Session, row: UserProfile) -> int:
    """Read before the documents: what changes in between is seen by the next look."""
    return int(session.scalar(_sum_of_inputs(row.user_id, row.total_interactions)) or 0)


def _history(session: Session, user_id: str, *, total: int, embedding_model: str) -> Sequence[Row[*tuple[Any, ...]]]:
    """Interactions with live documents, each with what is known of it. Vectors of other models are left out."""
    of_model = and_(Embedding.resource_id == Resource.id, Embedding.model_id == embedding_model)
    columns = (Interaction.resource_id, Interaction.type, Interaction.rating, Interaction.at)
    wanted = (
        select(
            *columns, Resource.subject, Resource.authors, Resource.creator, Embedding.vector, Embedding.passage_count
        )
        .join(Resource, and_(Resource.id == Interaction.resource_id, Resource.deleted_at.is_(None)))
        .outerjoin(Embedding, of_model)
        .where(_considered(user_id, total))
    )
    return session.execute(wanted).all()


def authors_of(row: Any) -> tuple[str, ...]:
    """Who wrote a document, by the fields that name them."""
    return tuple(row.authors or ([row.creator] if row.creator else []))


def _taste(history: Sequence[Row[*tuple[Any, ...]]], *, half_life: timedelta) -> Taste:
    acts = [Act(resource_id=row.resource_id, type=str(row.type), at=row.at, rating=row.rating) for row in history]
    documents: dict[UUID, KnownDocument] = {
        row.resource_id: KnownDocument(
            subjects=row.subject, authors=authors_of(row), vector=row.vector if row.passage_count else None
        )
        for row in history
    }
    return taste_of(acts, documents, half_life=half_life)


def _store(unit: UnitOfWork, read: UserProfile, taste: Taste, *, total: int, inputs: int, model_id: str) -> None:
    """Nothing older replaces what is there, and nothing is written for a user who was forgotten meanwhile."""
    session = unit.session
    locked = select(UserProfile).where(UserProfile.user_id == read.user_id).with_for_update()
    row = session.scalars(locked).one_or_none()
    if row is None or row.id != read.id or row.built_from > total:
        return
    unit.built(total)
    if (row.built_from, row.model_id, row.inputs) == (total, model_id, inputs):  # a twin of this call was faster
        return
    row.built_from, row.model_id, row.inputs, row.updated_at = total, model_id, inputs, now()
    row.revision += 1
    row.vector, row.subjects, row.authors = taste.vector, dict(taste.subjects), dict(taste.authors)
    row.likings = [asdict(one) | {"resource_id": str(one.resource_id)} for one in taste.likings]
    unit.emit(
        EventType.USER_PROFILE_UPDATED,
        {"user_id": row.user_id, "total_interactions": total, "revision": row.revision},
    )


def _is_behind(embedding_model: str) -> ColumnElement[bool]:
    """Built from fewer interactions than there are, or by another model: the row alone tells."""
    is_older = UserProfile.built_from < UserProfile.total_interactions
    return or_(is_older, UserProfile.model_id.is_distinct_from(embedding_model))


def _has_changed_inputs() -> ColumnElement[bool]:
    """Built from documents that have changed since: read from all interactions of the user."""
    inputs = _sum_of_inputs(UserProfile.user_id, UserProfile.total_interactions).correlate(UserProfile)
    return UserProfile.inputs != inputs.scalar_subquery()


def _forgotten(*stale: ColumnElement[bool]) -> Select[str, int]:
    """Stale by all of these, and no call for it is open, or dead and waits for people."""
    key = literal(coalesce_key(TaskName.REFRESH_RECOMMENDATION_PROFILE, "")) + UserProfile.user_id
    of_profiles = and_(TaskCall.task == TaskName.REFRESH_RECOMMENDATION_PROFILE, TaskCall.coalesce_key.is_not(None))
    called = select(TaskCall.coalesce_key).where(of_profiles, in_state(*OPEN_STATES))
    unburied = DeadLetter.task == TaskName.REFRESH_RECOMMENDATION_PROFILE, DeadLetter.closed_at.is_(None)
    dead = (
        select(TaskCall.coalesce_key).join(DeadLetter, DeadLetter.call_id == TaskCall.id).where(of_profiles, *unburied)
    )
    columns = (UserProfile.user_id, UserProfile.total_interactions.label("total"))
    return select(*columns).where(*stale, key.not_in(called), key.not_in(dead)).order_by(UserProfile.user_id)
