"""Search: keyword, semantic and hybrid answers with snippets, facets, suggestions and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.errors import EmbedderUnavailable, InvalidInput
from app.index.documents import Facets, Filters
from app.index.matching import is_live
from app.index.search_index import SearchIndex
from app.knowledge.query_grammar import Query, parse
from app.knowledge.snippets import snippet_of
from app.models.resource import Resource
from app.services.rankings import COSINE_MIN, Ranking, Rankings, ranking_by_meaning, ranking_by_words, with_spare
from app.services.search_cursor import OFFSET_MAX, decode_cursor, encode_cursor, question_digest

if TYPE_CHECKING:  # loaded with the model, by the first search that asks for meaning
    from app.embedding.embedder import Embedder
    from app.index.vectors import Floats, Near, Vectors

Mode = Literal["keyword", "semantic", "hybrid"]

DEPTH = 200
"""Hits of each ranking that are fused, and the most that a semantic search gives."""
PASSAGE_SLACK = 200
"""Characters before a passage's reckoned beginning in which its sentence or paragraph is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchItem:
    """One hit, as `version` of the document has it.

    `snippet` is HTML: escaped text with `<mark>` around what was found. Scores only order one answer.
    """

    id: UUID
    version: int
    title: str
    score: float
    snippet: str
    creator: str | None
    language: str | None
    format: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """A page of hits.

    `total` counts every keyword match; of a semantic or hybrid search it counts the hits that can be paged
    through, the union of at most `DEPTH` of each ranking. `mode` is the one that answered: `keyword` instead
    of `hybrid` while there is no embedder, or none can be loaded.
    """

    mode: Mode
    total: int
    items: Sequence[SearchItem]
    facets: Facets
    did_you_mean: str | None
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """Hits of the page, best first, with the passage for those found by meaning alone."""

    total: int
    scores: Mapping[UUID, float]
    facets: Facets
    passages: Mapping[UUID, Near]
    found_by_words: int
    kept: Rankings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _NearInMeaning:
    hits: Sequence[Near]
    ranking: Ranking
    vector: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A page, and the rankings it was cut from, by which it can be brought up to date: None for a keyword search."""

    page: SearchPage
    rankings: Rankings | None


class SearchService:
    """Answers searches in one read session. Embedder and vectors are called for: keyword searches load no model."""

    def __init__(
        self,
        session: Session,
        *,
        index: SearchIndex,
        embedder: Callable[[], Embedder] | None = None,
        vectors: Callable[[], Vectors] | None = None,
        depth: int = DEPTH,
    ) -> None:
        self._session = session
        self._index = index
        self._embedder = embedder
        self._vectors = vectors
        self._depth = depth

    def search(
        self,
        text: str,
        *,
        mode: Mode = "hybrid",
        filters: Filters | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        """The page of `answer`."""
        return self.answer(text, mode=mode, filters=filters, limit=limit, cursor=cursor).page

    def answer(
        self,
        text: str,
        *,
        mode: Mode = "hybrid",
        filters: Filters | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Answer:
        """One page of hits. Any text is a query.

        `InvalidInput` for a cursor of another search, `EmbedderUnavailable` for `semantic` without an embedder.
        """
        filters = filters or Filters()
        if limit < 1:
            raise InvalidInput("limit: at least 1")
        question = question_digest(text, mode, filters)
        offset = decode_cursor(cursor, question=question)
        query = parse(text)
        answered = self._answerable(mode, query)
        ranking = self._rank(query, answered, filters=filters, limit=limit, offset=offset)
        after = offset + limit
        more = len(ranking.scores) == limit and after < min(ranking.total, OFFSET_MAX)
        page = SearchPage(
            mode=answered,
            total=ranking.total,
            items=self._items(query, ranking),
            facets=ranking.facets,
            did_you_mean=self._suggestion(query, text, answered, ranking) if offset == 0 else None,
            next_cursor=encode_cursor(after, question=question) if more else None,
        )
        return Answer(page=page, rankings=ranking.kept)

    def _answerable(self, mode: Mode, query: Query) -> Mode:
        if mode == "keyword" or not query.meaning:
            return "keyword"
        try:
            if self._embedder is None or self._vectors is None:
                raise EmbedderUnavailable("semantic search is not ready: this process has no embedding model")
            self._embedder()
        except EmbedderUnavailable:
            if mode == "semantic":
                raise
            return "keyword"
        return mode

    def _rank(self, query: Query, mode: Mode, *, filters: Filters, limit: int, offset: int) -> _Ranking:
        if mode == "keyword":
            matches = self._index.search(self._session, query, filters=filters, limit=limit, offset=offset)
            scores = {hit.resource_id: hit.score for hit in matches.hits}
            return _Ranking(
                total=matches.total,
                scores=scores,
                facets=matches.facets,
                passages={},
                found_by_words=matches.total,
            )
        reach = with_spare(self._depth)
        near, words = self._near(query, filters, limit=reach), None
        if mode == "hybrid":
            hits = self._index.best(self._session, query, filters=filters, limit=reach)
            words = ranking_by_words(hits, is_complete=len(hits) < reach)
        kept = Rankings(words=words, meaning=near.ranking, vector=near.vector, depth=self._depth)
        ranked, found = kept.fused(), kept.found_by_words()
        passages = {one.resource_id: one for one in near.hits if one.resource_id not in found}
        facets = self._index.facets(self._session, [one for one, _ in ranked])
        page = dict(ranked[offset : offset + limit])
        total = len(ranked)
        return _Ranking(
            total=total, scores=page, facets=facets, passages=passages, found_by_words=len(found), kept=kept
        )

    def _near(self, query: Query, filters: Filters, *, limit: int) -> _NearInMeaning:
        """Live resources near in meaning that satisfy fields, exclusions and filters, best first."""
        assert self._embedder is not None
        assert self._vectors is not None
        embedder = self._embedder()
        vectors = self._vectors()
        vectors.refresh(self._session)
        vector = embedder.embed([query.meaning])[0]
        near = vectors.nearest(vector, limit=2 * self._depth)
        looked_at = 2 * self._depth
        ids = [one.resource_id for one in near]
        constraints = query.constraints
        if constraints == Query() and filters.is_empty:
            admitted = self._live(ids)
        else:
            admitted = self._index.admitted(self._session, constraints, filters=filters, among=ids)
            if len(admitted) < self._depth and len(near) == 2 * self._depth:  # few pass: look among those that do
                admitted = self._index.admitted(self._session, constraints, filters=filters)
                near = vectors.nearest(vector, limit=limit, allowed=admitted)
                looked_at = limit
        is_all = len(near) < looked_at or near[-1].score < COSINE_MIN
        hits = [one for one in near if one.resource_id in admitted and one.score >= COSINE_MIN]
        ranking = ranking_by_meaning(hits[:limit], is_complete=is_all and len(hits) <= limit)
        return _NearInMeaning(hits=hits[:limit], ranking=ranking, vector=vector)

    def _live(self, ids: Sequence[UUID]) -> set[UUID]:
        """Asked of indexes alone: `deleted_at` stands behind the text, and SQLite would read 400 rows to see it."""
        return set(self._session.scalars(select(Resource.id).where(Resource.id.in_(ids), is_live(Resource.id))))

    def _items(self, query: Query, ranking: _Ranking) -> list[SearchItem]:
        columns = (Resource.id, Resource.title, Resource.creator, Resource.language, Resource.format)
        texts = (Resource.created_at, Resource.version, Resource.description, Resource.content)
        chosen = select(*columns, *texts).where(Resource.id.in_(ranking.scores), Resource.deleted_at.is_(None))
        rows = {row.id: row for row in self._session.execute(chosen)}
        terms = [term for clause in query.wanted for term in clause.terms]
        return [
            SearchItem(
                id=found,
                version=row.version,
                title=row.title,
                score=round(score, 6),
                snippet=snippet_of(_shown_text(row, ranking.passages.get(found)), terms),
                creator=row.creator,
                language=row.language,
                format=row.format,
                created_at=row.created_at,
            )
            for found, score in ranking.scores.items()
            if (row := rows.get(found)) is not None
        ]

    def _suggestion(self, query: Query, text: str, mode: Mode, ranking: _Ranking) -> str | None:
        """Only when words found nothing: a search that answers needs no correction."""
        if mode == "semantic" or ranking.found_by_words > 0:
            return None
        return self._index.suggest(self._session, query, text)


def _shown_text(row: Row[*tuple[Any, ...]], near: Near | None) -> str:
    """The text to cut a snippet from: about the best passage for what was found by meaning alone, else all of it.

    Passages are of about equal length and spread evenly, so the place follows from the number: cutting the
    text into passages again would take 11 ms a hit.
    """
    content = row.content or ""
    if near is None:
        return "\n".join(part for part in (row.description, content) if part)
    start = near.passage * len(content) // near.passage_count
    if start <= PASSAGE_SLACK:
        start = 0
    else:
        borders = (content.rfind(end, start - PASSAGE_SLACK, start) for end in ("\n", ". ", " "))
        start = next((border + 1 for border in borders if border >= 0), start)
    return content[start : start + len(content) // near.passage_count + PASSAGE_SLACK]
