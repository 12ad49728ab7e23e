"""Query grammar: what a person types, as clauses that every engine answers alike.

    word word              every word must be there
    "some words"           next to each other, in this order; so is a word that holds several (`os.path.join`)
    -word  -"some words"   must not be there
    title:  author: creator:  subject:         the next word or phrase, in that field only
    language:  type:  format:                  equals, ignoring case; `format:pdf` is any `…/pdf`
    year:2020  year:2018..2021  year:2018..    publication year
    -language:de  -year:2020                   and not that

A minus before a single letter, or before another minus, is an option of a command (`ls -l`, `--help`) and
text like every other character. There is no wrong query: an unknown field is two plain words, a
quote that is not closed closes at the end, what cannot be read as a year is plain words. A query with
nothing but exclusions asks for nothing and finds nothing; one with only facets finds all that match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from app.knowledge.terms import terms_of

QUERY_LENGTH_MAX = 1000
"""Characters of a query that are read; the rest is dropped."""
_QUOTES = str.maketrans("\u201c\u201d\u201e\u201f\uff02\x00", '""""" ')
CLAUSES_MAX = 64
TERMS_MAX = 128
"""Terms of one query; the rest is dropped, also within a phrase."""

_PIECE = re.compile(
    r"""
    (?P<minus> (?<!\S) - (?! - | [A-Za-z0-9] (?![^\s"]) ) )?
    (?: (?P<field>[A-Za-z]+) : (?=\S) )?
    (?: "(?P<quoted>[^"]*)(?:"|$) | (?P<bare>[^\s"]+) )
    """,
    re.VERBOSE,
)
_YEARS = re.compile(r"(?P<first>\d{1,4})?(?P<range>\.\.)?(?P<last>\d{1,4})?", re.ASCII)


class TextField(StrEnum):
    """A field that is searched for words."""

    TITLE = "title"
    CREATOR = "creator"
    SUBJECT = "subject"


class FacetField(StrEnum):
    """A field that is compared as a whole."""

    LANGUAGE = "language"
    TYPE = "type"
    FORMAT = "format"


_TEXT_FIELDS = {
    "title": TextField.TITLE,
    "author": TextField.CREATOR,
    "creator": TextField.CREATOR,
    "subject": TextField.SUBJECT,
}
_FACET_FIELDS = {field.value: field for field in FacetField}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextClause:
    """Terms that stand next to each other, in one field or in any. `written` is what was typed."""

    terms: tuple[str, ...]
    written: str
    field: TextField | None = None
    excluded: bool = False
    quoted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetClause:
    """A field that has, or has not, this value (lower case)."""

    field: FacetField
    value: str
    excluded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class YearClause:
    """A publication year within, or outside, first..last; None is open."""

    first: int | None
    last: int | None
    excluded: bool = False


Clause = TextClause | FacetClause | YearClause


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A conjunction of clauses."""

    text: tuple[TextClause, ...] = ()
    facets: tuple[FacetClause, ...] = ()
    years: tuple[YearClause, ...] = ()

    @property
    def wanted(self) -> tuple[TextClause, ...]:
        """Text that must be there."""
        return tuple(clause for clause in self.text if not clause.excluded)

    @property
    def unwanted(self) -> tuple[TextClause, ...]:
        """Text that must not be there."""
        return tuple(clause for clause in self.text if clause.excluded)

    @property
    def asks_for_something(self) -> bool:
        """Whether anything is asked for, exclusions aside."""
        clauses: tuple[Clause, ...] = (*self.text, *self.facets, *self.years)
        return any(not clause.excluded for clause in clauses)

    @property
    def run(self) -> tuple[str, ...]:
        """All terms wanted in any field, in the order typed: found in a row, they are an exact match."""
        return tuple(term for clause in self.wanted if clause.field is None for term in clause.terms)

    @property
    def meaning(self) -> str:
        """What is wanted, in the words typed: what a semantic search embeds."""
        return " ".join(clause.written for clause in self.wanted)

    @property
    def constraints(self) -> Query:
        """What a document found by its meaning must satisfy all the same: fields, facets, years, exclusions."""
        kept = tuple(clause for clause in self.text if clause.excluded or clause.field is not None)
        return Query(text=kept, facets=self.facets, years=self.years)


def parse(text: str) -> Query:
    """Read a query. Any text is a query; none raises."""
    cleaned = text[:QUERY_LENGTH_MAX].translate(_QUOTES)
    clauses: list[Clause] = []
    left = TERMS_MAX
    for piece in _PIECE.finditer(cleaned):
        for clause in _clauses_of(piece):
            if len(clauses) == CLAUSES_MAX:
                return _query(clauses)
            if isinstance(clause, TextClause):
                if len(clause.terms) > left:
                    return _query([*clauses, *_begun(clause, terms=left)])
                left -= len(clause.terms)
            clauses.append(clause)
    return _query(clauses)


def _begun(clause: TextClause, *, terms: int) -> list[Clause]:
    """As much of it as is looked for; a shorter exclusion would exclude more."""
    return [] if clause.excluded or not terms else [replace(clause, terms=clause.terms[:terms])]


def _query(clauses: list[Clause]) -> Query:
    return Query(
        text=tuple(clause for clause in clauses if isinstance(clause, TextClause)),
        facets=tuple(clause for clause in clauses if isinstance(clause, FacetClause)),
        years=tuple(clause for clause in clauses if isinstance(clause, YearClause)),
    )


def _clauses_of(piece: re.Match[str]) -> list[Clause]:
    excluded = piece["minus"] is not None
    name = (piece["field"] or "").lower()
    quoted = piece["quoted"] is not None
    value = piece["quoted"] if quoted else piece["bare"]
    if name in _FACET_FIELDS and value.strip():
        return [FacetClause(field=_FACET_FIELDS[name], value=value.strip().lower(), excluded=excluded)]
    if name == "year" and (years := _years(value)) is not None:
        return [YearClause(first=years[0], last=years[1], excluded=excluded)]
    field = _TEXT_FIELDS.get(name)
    unread = [] if field is not None or not name else [_text(name, excluded=excluded)]
    found = _text(value, field=field, excluded=excluded, quoted=quoted)
    return [clause for clause in (*unread, found) if clause is not None]


def _text(
    value: str, *, field: TextField | None = None, excluded: bool = False, quoted: bool = False
) -> TextClause | None:
    terms = tuple(terms_of(value))
    if not terms:
        return None
    return TextClause(terms=terms, written=value.strip(), field=field, excluded=excluded, quoted=quoted)


def _years(value: str) -> tuple[int | None, int | None] | None:
    found = _YEARS.fullmatch(value)
    if found is None or not (found["first"] or found["last"]):
        return None
    first = int(found["first"]) if found["first"] else None
    last = int(found["last"]) if found["last"] else None
    if not found["range"]:
        return (first, first) if last is None else None
    return first, last
