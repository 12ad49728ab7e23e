"""Full text on PostgreSQL: a `tsvector` made of our own terms, and the terms in a row to check phrases against.

The vector is written as lexemes, not parsed by PostgreSQL, so both engines have the same terms. PostgreSQL
keeps at most 255 places a lexeme and none beyond 16383, so `<->` would miss phrases in the middle of a long
text: words are found by the vector's GIN index, and their standing in a row is checked in the stored terms.
A query reaches PostgreSQL as quoted lexemes of letters and digits, never as the user wrote it.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.orm import Session

from app.index.term_store import FIELD_WEIGHTS, TERMS_TABLE, AnySelect, TermStreams
from app.knowledge.query_grammar import Query, TextClause

VECTOR_BYTES_MAX = 1_000_000
"""PostgreSQL refuses a tsvector of 1 MiB; a text with more distinct words loses the last of them."""
PLACES_MAX = 24
"""Places kept of one lexeme: enough for ranking, and a vector stays small enough to be read fast."""
_LAST_PLACE = 16_383
_LABELS = {"title": "A", "creator": "B", "subject": "C", "body": "D"}
_WEIGHTS = "{" + ",".join(str(weight / 10) for weight in reversed(tuple(FIELD_WEIGHTS.values()))) + "}"  # D, C, B, A
_BY_LOG_LENGTH = 1  # ts_rank_cd normalisation: divided by 1 + log of the length

# Outside the declarative metadata: SQLite has a virtual table of this name.
_TERMS = Table(
    TERMS_TABLE,
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("vector", TSVECTOR),
    *(Column(name, Text) for name in FIELD_WEIGHTS),
)

_CREATE = (
    f"""CREATE TABLE {TERMS_TABLE} (
        number integer PRIMARY KEY REFERENCES search_documents (number) ON DELETE CASCADE,
        vector tsvector NOT NULL,
        {", ".join(f"{name} text NOT NULL" for name in FIELD_WEIGHTS)})""",
    # Uncompressed: ranking and phrases read them whole; a third more disk, a third less time.
    f"ALTER TABLE {TERMS_TABLE} ALTER vector SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL",
    f"CREATE INDEX ix_{TERMS_TABLE}_vector ON {TERMS_TABLE} USING gin (vector)",
)


def create_schema(connection: Connection) -> None:
    """Create the table of terms and its index; `search_documents` must exist. Needs no extension."""
    for statement in _CREATE:
        connection.exec_driver_sql(statement)


def drop_schema(connection: Connection) -> None:
    """Drop the table of terms."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {TERMS_TABLE}")


class PostgresTermStore:
    """A GIN index over vectors, ranked by cover density."""

    scores_stand_alone = True

    def write(self, session: Session, number: int, streams: TermStreams) -> None:
        """Replace the terms of a document."""
        fields = streams.by_field()
        session.execute(delete(_TERMS).where(_TERMS.c.number == number))
        values = {name: f" {' '.join(terms)} " for name, terms in fields.items()}
        session.execute(insert(_TERMS).values(number=number, vector=cast(vector_of(fields), TSVECTOR), **values))

    def candidates(self, query: Query) -> AnySelect:
        """Matching documents, ranked by cover density with the weights of their fields."""
        number: ColumnElement[int] = _TERMS.c.number
        score: ColumnElement[float] = literal(1.0)
        if query.wanted:
            wanted = _lexemes(tuple(term for clause in query.wanted for term in clause.terms))
            weights = text(f"CAST('{_WEIGHTS}' AS real[])")
            score = func.ts_rank_cd(weights, _TERMS.c.vector, cast(wanted, TSQUERY), _BY_LOG_LENGTH)
        return select(number.label("number"), _exact(query).label("exact"), score.label("score")).where(
            *_text_conditions(query)
        )

    def conditions(self, query: Query, number: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """The text clauses, by sub-select."""
        conditions = _text_conditions(query)
        return [number.in_(select(_TERMS.c.number).where(*conditions))] if conditions else []

    def documents_with(self, session: Session, term: str) -> int:
        """How many documents have the term."""
        counted = select(func.count()).where(_TERMS.c.vector.op("@@")(cast(_lexemes((term,)), TSQUERY)))
        return int(session.scalar(counted) or 0)

    def optimize(self, session: Session) -> None:
        """Move waiting entries into the index, so that no search has to read the list of them."""
        session.execute(text(f"SELECT gin_clean_pending_list('ix_{TERMS_TABLE}_vector')"))


def vector_of(fields: dict[str, list[str]]) -> str:
    """A tsvector literal: every term, with its first places and the label of its field."""
    places: dict[str, list[str]] = defaultdict(list)
    place, size = 0, 0
    for name, terms in fields.items():
        for term in terms:
            place += 1
            if term not in places:
                size += len(term.encode()) + 8
                if size > VECTOR_BYTES_MAX:
                    continue
            if len(places[term]) < PLACES_MAX and place <= _LAST_PLACE and size < VECTOR_BYTES_MAX:
                places[term].append(f"{place}{_LABELS[name]}")
                size += 2
        place += 1  # two fields are not next to each other
    return " ".join(f"'{term}':{','.join(found)}" if found else f"'{term}'" for term, found in places.items())


def _text_conditions(query: Query) -> list[ColumnElement[bool]]:
    wanted = [condition for clause in query.wanted for condition in _clause(clause)]
    return wanted + [not_(and_(*_clause(clause))) for clause in query.unwanted]


def _clause(clause: TextClause) -> list[ColumnElement[bool]]:
    label = "" if clause.field is None else f":{_LABELS[clause.field.value]}"
    matches = _TERMS.c.vector.op("@@", is_comparison=True)(cast(_lexemes(clause.terms, label), TSQUERY))
    if len(clause.terms) == 1:
        return [matches]
    fields = FIELD_WEIGHTS if clause.field is None else [clause.field.value]
    return [matches, _in_a_row(clause.terms, *fields)]


def _exact(query: Query) -> ColumnElement[int]:
    if len(query.run) < 2:
        return literal(0)
    return case((_in_a_row(query.run, *FIELD_WEIGHTS), 1), else_=0)


def _in_a_row(terms: tuple[str, ...], *fields: str) -> ColumnElement[bool]:
    phrase = f" {' '.join(terms)} "
    return or_(*(func.strpos(_TERMS.c[name], phrase) > 0 for name in fields))


def _lexemes(terms: tuple[str, ...], label: str = "") -> str:
    return " & ".join(f"'{term}'{label}" for term in dict.fromkeys(terms))
