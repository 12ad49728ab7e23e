"""Kept pages: pages of hits as the cache has them, and what becomes of one when documents change."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.events import counters
from app.index.documents import Filters
from app.index.search_index import SearchIndex
from app.knowledge.query_grammar import Query, parse
from app.models.derived import Embedding
from app.models.resource import Resource
from app.services import embedding_changes, index_changes
from app.services.rankings import COSINE_ERROR, COSINE_MIN, Place, Rankings, ranking_by_words
from app.services.search import Answer, Mode, SearchPage
from app.services.search_cursor import OFFSET_MAX, decode_cursor, encode_cursor, question_digest

if TYPE_CHECKING:
    from app.index.vectors import Floats

CHANGES_MAX = 50
"""Documents that are looked at one by one; after more changes a page is computed anew."""
PAGES = TypeAdapter(SearchPage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked for."""

    text: str
    mode: Mode
    filters: Filters
    limit: int
    cursor: str | None

    @property
    def digest(self) -> str:
        """What its cursors belong to."""
        return question_digest(self.text, self.mode, self.filters)

    @property
    def offset(self) -> int:
        """How many hits come before its page."""
        return decode_cursor(self.cursor, question=self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How far index and vectors had been changed before a page was made of them."""

    index: int
    vectors: int

    @classmethod
    def read(cls, session: Session) -> Self:
        """Those of now."""
        moved = counters.read_all(session, (index_changes.CHANGES, embedding_changes.CHANGES))
        return cls(index=moved[index_changes.CHANGES], vectors=moved[embedding_changes.CHANGES])


def kept(answer: Answer, numbers: Numbers) -> dict[str, Any]:
    """What the cache keeps."""
    return {
        "numbers": {"index": numbers.index, "vectors": numbers.vectors},
        "page": PAGES.dump_python(answer.page, mode="json"),
        "rankings": None if answer.rankings is None else answer.rankings.plain(),
    }


def brought_up_to_date(
    session: Session, index: SearchIndex, page: dict[str, Any], question: Question, *, embedding_model: str
) -> dict[str, Any] | None:
    """The page itself if it is as it would be now, one with other ranks, scores or counts, or None: compute it.

    Only what was changed is read. A page that would show another document, or a document otherwise, is computed.
    """
    now, seen = Numbers.read(session), Numbers(**page["numbers"])
    is_older_copy = now.index < seen.index or now.vectors < seen.vectors  # of the database
    if is_older_copy or _fell_back(page, question) or not _shows_documents_as_they_are(session, page):
        return None
    if now.index == seen.index and (now.vectors == seen.vectors or question.mode == "keyword"):
        return page
    changed = index_changes.since(session, seen.index, limit=CHANGES_MAX + 1) if now.index != seen.index else set()
    if len(changed) > CHANGES_MAX:
        return None
    numbers = {"numbers": {"index": now.index, "vectors": now.vectors}}
    if page["rankings"] is None:
        is_same = question.mode == "keyword" or now.vectors == seen.vectors  # else it might be found by meaning now
        return {**page, **numbers} if is_same and _misses_all(session, index, page, question, changed) else None
    moved = embedding_changes.since(session, seen.vectors, limit=CHANGES_MAX + 1)
    if len(moved) > CHANGES_MAX:
        return None
    change = _Change(
        session=session,
        index=index,
        question=question,
        before=Rankings.of_plain(page["rankings"]),
        in_index=changed,
        vectors=moved,
        embedding_model=embedding_model,
    )
    ranked = change.rankings()
    page_now = None if ranked is None else change.page(page["page"], ranked)
    return None if ranked is None or page_now is None else {"page": page_now, "rankings": ranked.plain(), **numbers}


def _fell_back(page: Mapping[str, Any], question: Question) -> bool:
    """Answered by words alone for want of an embedder, which may be back: nothing numbers that."""
    return page["page"]["mode"] != question.mode and bool(parse(question.text).meaning)


def _shows_documents_as_they_are(session: Session, page: Mapping[str, Any]) -> bool:
    shown = {UUID(item["id"]): item["version"] for item in page["page"]["items"]}
    current = select(Resource.id, Resource.version).where(Resource.id.in_(list(shown)), Resource.deleted_at.is_(None))
    return {row.id: row.version for row in session.execute(current)} == shown


def _misses_all(
    session: Session, index: SearchIndex, page: Mapping[str, Any], question: Question, changed: Set[UUID]
) -> bool:
    """Whether none of these was or is a hit of a keyword search: to be told where the page shows all of its hits."""
    shown = page["page"]
    if not index.scores_stand_alone or not 0 < len(shown["items"]) == shown["total"]:
        return False
    if not changed.isdisjoint(UUID(item["id"]) for item in shown["items"]):
        return False
    return not index.best(session, parse(question.text), filters=question.filters, limit=1, among=list(changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a few documents, changed in the index or in their vectors, change of an answer."""

    session: Session
    index: SearchIndex
    question: Question
    before: Rankings
    in_index: Set[UUID]
    vectors: Mapping[UUID, Embedding]
    embedding_model: str

    def rankings(self) -> Rankings | None:
        """With each of the documents where it belongs now."""
        query, before = parse(self.question.text), self.before
        if query.constraints != Query() or not self.question.filters.is_empty:
            return None
        words = before.words
        if words is not None and self.in_index:
            if not self.index.scores_stand_alone:
                return None
            asked, count = list(self.in_index), len(self.in_index)
            hits = self.index.best(self.session, query, filters=self.question.filters, limit=count, among=asked)
            places = ranking_by_words(hits, is_complete=True).places
            words = words.with_changed(self.in_index, places, wanted=before.depth)
            if words is None:
                return None
        near = self._near()
        meaning = None if near is None else before.meaning.with_changed(self.vectors.keys(), near, wanted=before.depth)
        return None if meaning is None else replace(before, words=words, meaning=meaning)

    def page(self, shown: Mapping[str, Any], after: Rankings) -> dict[str, Any] | None:
        """The page with its ranks, scores and counts of now; None where it would show another thing."""
        items = {UUID(item["id"]): item for item in shown["items"]}
        offset, limit = self.question.offset, self.question.limit
        ranked = after.fused()
        scores = dict(ranked[offset : offset + limit])
        if scores.keys() != items.keys() or not self._snippets_are_the_same(items.keys(), after):
            return None
        more = len(scores) == limit and offset + limit < min(len(ranked), OFFSET_MAX)
        return {
            **shown,
            "total": len(ranked),
            "items": [{**items[one], "score": round(score, 6)} for one, score in scores.items()],
            "facets": self._facets(shown["facets"], [one for one, _ in ranked]),
            "next_cursor": encode_cursor(offset + limit, question=self.question.digest) if more else None,
        }

    def _near(self) -> dict[UUID, Place] | None:
        """Those that are near enough; None where that is in doubt."""
        found: dict[UUID, Place] = {}
        for one, row in self.vectors.items():
            if not row.passage_count or row.model_id != self.embedding_model:
                continue
            cosine = _cosine(row, self.before.vector)
            if abs(cosine - COSINE_MIN) < COSINE_ERROR:
                return None
            if cosine >= COSINE_MIN:
                found[one] = (cosine, str(one))
        return found

    def _snippets_are_the_same(self, shown: Set[UUID], after: Rankings) -> bool:
        """And the suggestion, which is made where words find nothing."""
        found_before, found = self.before.found_by_words(), after.found_by_words()
        if after.words is not None and self.in_index and not (found and found_before):
            return False
        by_meaning = shown - found
        return (found_before ^ found).isdisjoint(shown) and self.vectors.keys().isdisjoint(by_meaning)

    def _facets(self, facets: Mapping[str, Any], counted: list[UUID]) -> Mapping[str, Any]:
        before = {one for one, _ in self.before.fused()}
        if before == set(counted) and before.isdisjoint(self.in_index):
            return facets
        return self.index.facets(self.session, counted)


def _cosine(row: Embedding, vector: Floats) -> float:
    import numpy as np  # noqa: PLC0415 — a process that searches by words alone does not load it

    passages = np.frombuffer(row.passages, dtype="<f2").reshape(-1, row.dim).astype(np.float32)
    return float((passages @ vector).max())
