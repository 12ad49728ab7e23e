"""Full text on SQLite: an FTS5 table of terms that are split, folded and stemmed already.

The tokenizer is `ascii`: it only splits at the spaces between our terms (every character beyond ASCII belongs
to a term). A query reaches FTS5 as double-quoted strings of letters and digits, never as the user wrote it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, column, func, literal, not_, select, table, text
from sqlalchemy.orm import Session

from app.index.term_store import FIELD_WEIGHTS, TERMS_TABLE, AnySelect, TermStreams
from app.knowledge.query_grammar import Query, TextClause

_TERMS = table(TERMS_TABLE, column("rowid"), *(column(name) for name in FIELD_WEIGHTS))
_WHOLE_ROW: ColumnElement[Any] = column(TERMS_TABLE)  # FTS5's hidden column, named like its table

_CREATE = (
    f"CREATE VIRTUAL TABLE {TERMS_TABLE} USING fts5({', '.join(FIELD_WEIGHTS)}, tokenize = 'ascii')",
    f"CREATE VIRTUAL TABLE {TERMS_TABLE}_vocabulary USING fts5vocab('{TERMS_TABLE}', 'row')",
    f"""CREATE TRIGGER {TERMS_TABLE}_follow_documents AFTER DELETE ON search_documents
        BEGIN DELETE FROM {TERMS_TABLE} WHERE rowid = old.number; END""",  # noqa: S608 — our constant
)
_DROP = (
    f"DROP TRIGGER IF EXISTS {TERMS_TABLE}_follow_documents",
    f"DROP TABLE IF EXISTS {TERMS_TABLE}_vocabulary",
    f"DROP TABLE IF EXISTS {TERMS_TABLE}",
)


def create_schema(connection: Connection) -> None:
    """Create the FTS5 table; `search_documents` must exist."""
    for statement in _CREATE:
        connection.exec_driver_sql(statement)


def drop_schema(connection: Connection) -> None:
    """Drop the FTS5 table, its vocabulary and its trigger."""
    for statement in _DROP:
        connection.exec_driver_sql(statement)


class SqliteTermStore:
    """FTS5 with bm25: a word counts by how rare it is, a text by how long the others are."""

    scores_stand_alone = False

    def write(self, session: Session, number: int, streams: TermStreams) -> None:
        """Replace the terms of a document."""
        session.execute(_TERMS.delete().where(_TERMS.c.rowid == number))
        values = {name: " ".join(terms) for name, terms in streams.by_field().items()}
        session.execute(_TERMS.insert().values(rowid=number, **values))

    def candidates(self, query: Query) -> AnySelect:
        """Matching documents; -bm25 is the score (FTS5 gives lower for better)."""
        if not query.wanted:
            number: ColumnElement[int] = _TERMS.c.rowid
            return select(number.label("number"), literal(0).label("exact"), literal(1.0).label("score")).where(
                *self.conditions(query, number)
            )
        score = -func.bm25(_WHOLE_ROW, *(text(str(weight)) for weight in FIELD_WEIGHTS.values()))
        return select(_TERMS.c.rowid.label("number"), _exact(query).label("exact"), score.label("score")).where(
            _matches(_expression(query))
        )

    def conditions(self, query: Query, number: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """The text clauses, by sub-select."""
        if query.wanted:
            return [number.in_(_numbers(_expression(query)))]
        if query.unwanted:
            return [not_(number.in_(_numbers(_any(query.unwanted))))]
        return []

    def documents_with(self, session: Session, term: str) -> int:
        """How many documents have the term."""
        statement = text(f"SELECT doc FROM {TERMS_TABLE}_vocabulary WHERE term = :term")  # noqa: S608 — our constant
        return int(session.scalar(statement, {"term": term}) or 0)

    def optimize(self, session: Session) -> None:
        """Merge the b-trees of the index into one."""
        session.execute(text(f"INSERT INTO {TERMS_TABLE}({TERMS_TABLE}) VALUES ('optimize')"))  # noqa: S608


def _matches(expression: str) -> ColumnElement[bool]:
    return _WHOLE_ROW.op("MATCH", is_comparison=True)(expression)


def _numbers(expression: str) -> AnySelect:
    return select(_TERMS.c.rowid).where(_matches(expression))


def _exact(query: Query) -> ColumnElement[int]:
    if len(query.run) < 2:
        return literal(0)
    return case((and_(_TERMS.c.rowid.in_(_numbers(_string(query.run)))), 1), else_=0)


def _expression(query: Query) -> str:
    wanted = " AND ".join(_clause(clause) for clause in query.wanted)
    return f"({wanted}) NOT ({_any(query.unwanted)})" if query.unwanted else wanted


def _any(clauses: tuple[TextClause, ...]) -> str:
    return " OR ".join(_clause(clause) for clause in clauses)


def _clause(clause: TextClause) -> str:
    string = _string(clause.terms)
    return string if clause.field is None else f"({clause.field.value} : {string})"


def _string(terms: tuple[str, ...]) -> str:
    return '"' + " ".join(terms).replace('"', '""') + '"'
