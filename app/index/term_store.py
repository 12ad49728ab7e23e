"""The seam between the search index and an engine: where terms are kept, and how they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import Session

from app.knowledge.query_grammar import Query

TERMS_TABLE = "search_terms"
"""Name of the engine's own table, and the prefix of those the engine makes for itself."""

FIELD_WEIGHTS: Mapping[str, float] = {"title": 10.0, "creator": 4.0, "subject": 4.0, "body": 1.0}
"""How much one word counts by where it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermStreams:
    """The terms of one document in order, by field."""

    title: list[str]
    creator: list[str]
    subject: list[str]
    body: list[str]

    def by_field(self) -> dict[str, list[str]]:
        """Field name -> terms."""
        return {"title": self.title, "creator": self.creator, "subject": self.subject, "body": self.body}

    def digest(self) -> bytes:
        """SHA-256 of all terms: equal when there is nothing to write."""
        return sha256("\n".join(" ".join(terms) for terms in self.by_field().values()).encode()).digest()


AnySelect = Select[*tuple[Any, ...]]


class TermStore(Protocol):
    """One engine. Rows are keyed by the number of the `SearchDocument` and vanish with it."""

    scores_stand_alone: bool
    """Whether the score of a document does not depend on other documents."""

    def write(self, session: Session, number: int, streams: TermStreams) -> None:
        """Replace the terms of a document."""

    def candidates(self, query: Query) -> AnySelect:
        """Documents with every wanted and no unwanted clause: columns `number`, `exact` (0 or 1), `score` (> 0)."""

    def conditions(self, query: Query, number: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """The query's text clauses as conditions on a document number."""

    def documents_with(self, session: Session, term: str) -> int:
        """How many documents have the term."""

    def optimize(self, session: Session) -> None:
        """Compact the engine's table."""
