"""One statement answers a search: the page of hits, their total and their facets from one pass over the matches."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Float,
    Integer,
    Row,
    SQLColumnExpression,
    Text,
    and_,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from app.index.documents import Facets, Filters, Hit, Matches
from app.index.term_store import AnySelect
from app.knowledge.query_grammar import FacetClause, FacetField, Query, YearClause
from app.models.author import AuthorVariant, ResourceAuthor
from app.models.derived import QualityScore
from app.models.resource import Resource
from app.models.search import SearchDocument, SearchSubject

FACET_VALUES_MAX = 30
"""Values given of one facet: the most frequent."""
_COUNTED = ("language", "type", "format", "publication_year", "classification_code", "creator")
_PACKED = ("language", "type", "format", "publication_year", "classification_code")
"""Fields of few values: counted together, in one grouping of the matches instead of five."""
BETWEEN = "\x1f"
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
_EQUAL_IGNORING_CASE = {"language", "type", "format"}


def answer(session: Session, matched: AnySelect, *, limit: int, offset: int) -> Matches:
    """Hits of the page and the tallies of all; `matched` is made by `matching_documents`."""
    matches = matched.cte("matches").prefix_with("MATERIALIZED")
    rows = session.execute(union_all(_page(matches, limit=limit, offset=offset), *_tallies(matches))).all()
    return Matches(
        total=sum(row.number for row in rows if row.part == "packed"),
        hits=tuple(_hits(row for row in rows if row.part == "hit")),
        facets=_facets(rows),
    )


def best(session: Session, matched: AnySelect, *, limit: int) -> list[Hit]:
    """The first hits of `answer`, in its order, without its tallies of all matches."""
    rows = session.execute(_page(matched.cte("matches"), limit=limit, offset=0)).all()
    return _hits(rows)


def matching_documents(candidates: AnySelect, query: Query, filters: Filters) -> AnySelect:
    """Candidates of the engine joined with their documents: live, and past every filter."""
    found = candidates.subquery("found")
    counted = (getattr(SearchDocument, name) for name in _COUNTED)
    return (
        select(found.c.number, found.c.exact, found.c.score, SearchDocument.resource_id, *counted)
        .join(SearchDocument, SearchDocument.number == found.c.number)
        .where(is_live(SearchDocument.resource_id), *conditions(query, filters))
    )


def is_live(resource_id: SQLColumnExpression[UUID]) -> ColumnElement[bool]:
    """The resource is not deleted. Tombstones are few: a set of them beats a join with every match."""
    # Not "IS NOT NULL": SQLite uses the index for a range only, and a scan reads every text on the way.
    return resource_id.not_in(select(Resource.id).where(Resource.deleted_at > _BEFORE_ALL))


def conditions(query: Query, filters: Filters) -> list[ColumnElement[bool]]:
    """Facet clauses, years and filters as conditions on `SearchDocument`."""
    clauses = [_signed(_facet_clause(clause), excluded=clause.excluded) for clause in query.facets]
    years = [_signed(_years(clause), excluded=clause.excluded) for clause in query.years]
    return [*clauses, *years, *_filters(filters)]


def facets_of(session: Session, resource_ids: Sequence[UUID]) -> Facets:
    """The facets of these resources, as far as they are indexed."""
    counted = (getattr(SearchDocument, name) for name in _COUNTED)
    chosen = select(SearchDocument.number, *counted).where(SearchDocument.resource_id.in_(resource_ids))
    return _facets(session.execute(union_all(*_tallies(chosen.cte("chosen")))).all())


def _page(matches: CTE, *, limit: int, offset: int) -> AnySelect:
    columns = matches.c
    best = (
        select(columns.number, columns.exact, columns.score, columns.resource_id)
        .order_by(columns.exact.desc(), columns.score.desc(), columns.number)
        .limit(limit)
        .offset(offset)
        .subquery("best")
    )
    value = cast(best.c.resource_id, Text)
    return select(
        literal("hit").label("part"), value.label("value"), best.c.number.label("number"), best.c.exact, best.c.score
    )


def _tallies(matches: CTE) -> list[AnySelect]:
    """Rows of (part, value, number): how many matches have the value."""
    fields: list[ColumnElement[str]] = [func.coalesce(cast(matches.c[name], Text), "") for name in _PACKED]
    packed = functools.reduce(_joined, fields).label("value")
    together = select(literal("packed").label("part"), packed, *_counted()).select_from(matches).group_by("value")
    # An expression, so that SQLite goes from the matches to their subjects and not through all subjects.
    subject = SearchSubject.subject.concat("").label("subject")
    subjects = select(literal("subject"), subject, *_counted()).join(matches, matches.c.number == SearchSubject.number)
    creators = select(literal("creator"), matches.c.creator, *_counted()).where(matches.c.creator.is_not(None))
    return [
        together,
        _most_frequent(creators.group_by(matches.c.creator), "creator"),
        _most_frequent(subjects.group_by(subject), "subject"),
    ]


def _joined(left: ColumnElement[str], right: ColumnElement[str]) -> ColumnElement[str]:
    return left.concat(BETWEEN).concat(right)


def _counted() -> tuple[ColumnElement[Any], ...]:
    return func.count().label("number"), cast(null(), Integer).label("exact"), cast(null(), Float).label("score")


def _most_frequent(tally: AnySelect, name: str) -> AnySelect:
    return select(tally.order_by(func.count().desc()).limit(FACET_VALUES_MAX).subquery(f"tally_{name}"))


def _facets(rows: Iterable[Row[*tuple[Any, ...]]]) -> Facets:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.part == "packed":
            for field, value in zip(_PACKED, row.value.split(BETWEEN), strict=True):
                counts[field][value] += row.number
        elif row.part != "hit":
            counts[row.part][row.value] += row.number
    return {field: shown for field, values in sorted(counts.items()) if (shown := _shown(values))}


def _shown(values: Counter[str]) -> dict[str, int]:
    """The most frequent values, equal ones by name; the empty value stands for none."""
    ordered = sorted(values.items(), key=lambda counted: (-counted[1], counted[0]))
    return dict([counted for counted in ordered if counted[0]][:FACET_VALUES_MAX])


def _hits(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[Hit]:
    ordered = sorted(rows, key=lambda row: (-row.exact, -row.score, row.number))
    return [Hit(resource_id=UUID(row.value), score=_score(row), number=row.number) for row in ordered]


def _score(row: Row[Any]) -> float:
    """Below 1 by the engine's weight of words; 1 more when all words stand in a row."""
    weight = max(float(row.score), 0.0)
    return float(row.exact) + weight / (1.0 + weight)


def _signed(condition: ColumnElement[bool], *, excluded: bool) -> ColumnElement[bool]:
    return not_(func.coalesce(condition, False)) if excluded else condition


def _facet_clause(clause: FacetClause) -> ColumnElement[bool]:
    column = getattr(SearchDocument, clause.field.value)
    equal: ColumnElement[bool] = column == clause.value
    if clause.field is FacetField.FORMAT:  # `pdf` is any …/pdf
        return or_(equal, column.endswith(f"/{clause.value}", autoescape=True))
    return equal


def _years(clause: YearClause) -> ColumnElement[bool]:
    year = SearchDocument.publication_year
    bounds = [] if clause.first is None else [year >= clause.first]
    return and_(*bounds, *([] if clause.last is None else [year <= clause.last]))


def _written_by(author_ids: Sequence[UUID]) -> AnySelect:
    """Resources of the authors who have a name with one of these ids."""
    authors = select(AuthorVariant.author_id).where(AuthorVariant.id.in_(author_ids))
    names = select(AuthorVariant.id).where(AuthorVariant.author_id.in_(authors))
    return select(ResourceAuthor.resource_id).where(ResourceAuthor.variant_id.in_(names))


def _filters(filters: Filters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in _COUNTED:
        if values := getattr(filters, name, ()):
            lowered = [value.lower() for value in values] if name in _EQUAL_IGNORING_CASE else list(values)
            found.append(getattr(SearchDocument, name).in_(lowered))
    if filters.subject:
        with_subject = select(SearchSubject.number).where(SearchSubject.subject.in_(filters.subject))
        found.append(SearchDocument.number.in_(with_subject))
    if filters.author:
        found.append(SearchDocument.resource_id.in_(_written_by(filters.author)))
    if filters.year_from is not None:
        found.append(SearchDocument.publication_year >= filters.year_from)
    if filters.year_to is not None:
        found.append(SearchDocument.publication_year <= filters.year_to)
    if filters.quality_min is not None:
        good = select(QualityScore.resource_id).where(QualityScore.overall >= filters.quality_min)
        found.append(SearchDocument.resource_id.in_(good))
    return found
