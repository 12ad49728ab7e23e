"""Recommendations: documents that suit a user and that they have not seen, each with its reason.

What is cached is the order and its numbers, for one revision of the profile; whether a document still lives, what it
is called, and whether the user has seen it since is asked of the database each time. So an answer is true when it is
read, whatever happened to the cache (ADR 0034).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cache.keys import recommendations_key
from app.knowledge import recommendation
from app.knowledge.diversity import diversified
from app.knowledge.recommendation import Parts
from app.models.base import now
from app.models.derived import Embedding
from app.models.interaction import UserProfile
from app.models.resource import Resource
from app.services import profiles
from app.services.candidates import Asker, Candidate, candidates_for, seen_among
from app.services.library import Library

if TYPE_CHECKING:  # loaded by the first who recommends
    import numpy as np
    from numpy.typing import NDArray

POOL = 120
"""Best candidates that are put in an order of diversity."""
DEPTH = 60
"""Recommendations that are kept: more than anyone is shown, for some are seen or deleted meanwhile."""
LOOK_AHEAD = 2
"""Times as many as are wanted are looked up at once, before more are."""
FORM = 2
"""Of what is kept: another number is another release's, of other parts."""
NEAR_MIN = 0.1
"""Cosine below which two documents have nothing to do with each other, as for searches."""
_DID: Mapping[str, str] = {
    "view": "because you viewed {title}",
    "annotation": "because you annotated {title}",
    "collection_add": "because you added {title} to a collection",
    "export": "because you exported {title}",
    "rating": "because you rated {title} highly",
}
_JOINT = ", and one cites the other"
_WORDS: Mapping[str, str] = {
    "content": "because it is near to what you like",
    "affinity": "because it is about or by {about}, as is what you like",
    "citations": "because it cites what you like, or is cited by it",
    "quality": "because it is among the best of the library",
    "recency": "because it is new in the library",
    "popularity": "because others liked it of late",
}


def recommend(library: Library, user_id: str, *, limit: int) -> dict[str, Any]:
    """At most `limit` documents, the best first; `cold_start` when nothing is known that the user likes."""
    with library.database.glance() as session:
        born, revision = profiles.edition(session, user_id)
    found = _cached(library, user_id, born=str(born) if born else None, revision=revision)
    with library.database.reader() as session:
        return {"user_id": user_id, **_as_of_now(session, user_id, found, limit=limit)}


def _cached(library: Library, user_id: str, *, born: str | None, revision: int) -> dict[str, Any]:
    """The order for this very profile. A user who was forgotten and came again begins with revision 0 as before."""

    def compute() -> dict[str, Any]:
        return _compute(library, user_id)

    def is_current(found: dict[str, Any]) -> bool:
        return found.get("form") == FORM and found["profile_id"] == born

    return library.cache.get_or_compute(recommendations_key(user_id), compute, version=revision, is_current=is_current)


def _compute(library: Library, user_id: str) -> dict[str, Any]:
    half_life = timedelta(days=library.settings.recommendation_half_life_days)
    with library.database.reader() as session:
        profile = profiles.find(session, user_id)
        asker = Asker(user_id=user_id, profile=profile, half_life=half_life)
        candidates = candidates_for(library, session, asker)
        liked = _liked_vectors(session, asker, embedding_model=library.embedding_model)
    parts = _parts(candidates, asker)
    scores = {one: parts[one].score(has_taste=asker.has_taste) for one in parts}
    by_id = {one.id: one for one in candidates}
    pool = sorted(scores, key=lambda one: (-scores[one], one))[:POOL]
    order = diversified(  # of places in the pool: of equal ones the better, as of ids, and quicker to compare
        {place: scores[one] for place, one in enumerate(pool)},
        similarity=_similarity([by_id[one] for one in pool]),
        relevance_share=library.settings.recommendation_mmr_lambda,
        limit=DEPTH,
    )
    items = [
        {
            "id": str(one),
            "score": scores[one],
            "parts": parts[one].weighted(has_taste=asker.has_taste),
            "reason": _reason(by_id[one], parts[one], asker, liked),
        }
        for one in (pool[place] for place in order)
    ]
    born = str(profile.id) if profile else None
    return {"cold_start": not asker.has_taste, "items": items, "profile_id": born, "form": FORM}


def _parts(candidates: Sequence[Candidate], asker: Asker) -> dict[UUID, Parts]:
    profile = asker.profile if asker.has_taste else None
    cosines = _cosines(candidates, profile.vector if profile else None)
    most, moment = max((one.likes for one in candidates), default=0.0), now()
    liked_subjects, liked_authors = (profile.subjects, profile.authors) if profile else ({}, {})
    liked = asker.liked
    most_liked = max(liked.values(), default=0.0)
    return {
        one.id: Parts(
            content=recommendation.content(cosines.get(one.id, 0.0)),
            affinity=recommendation.affinity(
                one.subjects, one.authors, liked_subjects=liked_subjects, liked_authors=liked_authors
            ),
            citations=recommendation.joined((liked[joint] for joint in one.joined), most=most_liked),
            quality=one.quality,
            recency=recommendation.recency(max(moment - one.created_at, timedelta(0))),
            popularity=recommendation.popularity(one.likes, most=most),
        )
        for one in candidates
    }


def _matrix(vectors: Sequence[bytes]) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415 — the API loads it with its first recommendation, not at its start

    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), -1)


def _cosines(candidates: Sequence[Candidate], taste: bytes | None) -> dict[UUID, float]:
    known = [(one.id, one.vector) for one in candidates if one.vector is not None]
    if taste is None or not known or any(len(vector) != len(taste) for _, vector in known):
        return {}
    values = _matrix([vector for _, vector in known]) @ _matrix([taste])[0]
    return dict(zip((one for one, _ in known), values.tolist(), strict=True))


def _similarity(pool: Sequence[Candidate]) -> Callable[[int, int], float]:
    """Of two places in the pool: the cosine, 0 where it is below or one has no vector."""
    length = next((len(one.vector) for one in pool if one.vector is not None), 0)
    if not length:
        return lambda _one, _other: 0.0
    matrix = _matrix([one.vector or bytes(length) for one in pool])
    cosines: list[list[float]] = (matrix @ matrix.T).clip(0, 1).tolist()
    return lambda one, other: cosines[one][other]


def _liked_vectors(session: Session, asker: Asker, *, embedding_model: str) -> list[tuple[dict[str, Any], bytes]]:
    """What the user likes, with its vectors, the most liked first."""
    likings = asker.profile.likings if asker.profile else []
    ids = [UUID(one["resource_id"]) for one in likings]
    wanted = select(Embedding.resource_id, Embedding.vector).where(
        Embedding.resource_id.in_(ids), Embedding.model_id == embedding_model, Embedding.passage_count > 0
    )
    vectors = {row.resource_id: row.vector for row in session.execute(wanted)}
    return [(one, vectors[at]) for one, at in zip(likings, ids, strict=True) if at in vectors]


def _reason(
    candidate: Candidate, parts: Parts, asker: Asker, liked: Sequence[tuple[dict[str, Any], bytes]]
) -> dict[str, Any]:
    """The part that adds most, and what it is due to: a document that the user likes, or a subject or author."""
    part = parts.strongest(has_taste=asker.has_taste)
    because = _nearest_liked(candidate, liked) if part == "content" else None
    if part == "citations":
        because = _most_liked_joint(candidate, asker)
    about = _liked_term(candidate, asker.profile) if part == "affinity" else None
    return {"part": part, "because": because, "about": about}


def _nearest_liked(candidate: Candidate, liked: Sequence[tuple[dict[str, Any], bytes]]) -> dict[str, Any] | None:
    """The nearest, weighed by how much it is liked; of equal ones the most liked."""
    if candidate.vector is None or not liked:
        return None
    cosines = (_matrix([vector for _, vector in liked]) @ _matrix([candidate.vector])[0]).tolist()
    weights = [one["weight"] for one, _ in liked]
    pulls = [weight * cosine if cosine >= NEAR_MIN else 0.0 for weight, cosine in zip(weights, cosines, strict=True)]
    if not any(pulls):
        return None
    one = liked[pulls.index(max(pulls))][0]
    return {"resource_id": one["resource_id"], "type": one["type"]}


def _most_liked_joint(candidate: Candidate, asker: Asker) -> dict[str, Any] | None:
    likings = asker.profile.likings if asker.profile else []
    joints = (one for one in likings if UUID(one["resource_id"]) in candidate.joined)
    one = next(joints, None)
    return None if one is None else {"resource_id": one["resource_id"], "type": one["type"]}


def _liked_term(candidate: Candidate, profile: UserProfile | None) -> str | None:
    liked = {**profile.authors, **profile.subjects} if profile else {}
    terms = {term.strip() for term in (*candidate.subjects, *candidate.authors)}
    return max((term for term in terms if liked.get(term, 0) > 0), key=lambda term: (liked[term], term), default=None)


def _as_of_now(session: Session, user_id: str, found: Mapping[str, Any], *, limit: int) -> dict[str, Any]:
    """The kept order less what is gone or seen since, with the titles of now."""
    kept, items = found["items"], list[dict[str, Any]]()
    at_once = LOOK_AHEAD * limit  # of most users little is gone
    for first in range(0, len(kept), at_once):
        items += _still_there(session, user_id, kept[first : first + at_once])
        if len(items) >= limit:
            break
    return {"cold_start": found["cold_start"], "items": items[:limit]}


def _still_there(session: Session, user_id: str, kept: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    ids = [UUID(item["id"]) for item in kept]
    causes = [UUID(item["reason"]["because"]["resource_id"]) for item in kept if item["reason"]["because"]]
    wanted = select(Resource.id, Resource.title, Resource.creator, Resource.duplicate_of)
    alive = wanted.where(Resource.id.in_({*ids, *causes}), Resource.deleted_at.is_(None))
    rows = {row.id: row for row in session.execute(alive)}
    gone = seen_among(session, user_id, ids)
    return [
        {"title": row.title, "creator": row.creator, **item, "reason": _in_words(item["reason"], rows)}
        for one, item in zip(ids, kept, strict=True)
        if one not in gone and (row := rows.get(one)) is not None and row.duplicate_of is None
    ]


def _in_words(reason: Mapping[str, Any], rows: Mapping[UUID, Any]) -> dict[str, Any]:
    because = reason["because"]
    cause = rows.get(UUID(because["resource_id"])) if because else None
    if cause is None:
        text = _WORDS[reason["part"]].format(about=reason["about"])
        return {**reason, "because": None, "text": text}
    title = f"“{cause.title}”" if cause.title else "a document without a title"
    text = _DID[because["type"]].format(title=title) + (_JOINT if reason["part"] == "citations" else "")
    return {**reason, "because": {**because, "title": cause.title}, "text": text}
