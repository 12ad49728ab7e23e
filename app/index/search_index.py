"""The search index: full text inside the database, the same on both engines up to the order of near equals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from app.errors import SettingsError
from app.index.documents import Facets, Filters, Hit, IndexedDocument, Matches
from app.index.matching import BETWEEN, answer, best, conditions, facets_of, is_live, matching_documents
from app.index.postgres_fts import PostgresTermStore
from app.index.sqlite_fts import SqliteTermStore
from app.index.term_store import TermStore, TermStreams
from app.index.upserting import document_upsert
from app.index.vocabulary import corrected, remember, vocabulary_of
from app.knowledge.query_grammar import Query
from app.knowledge.terms import terms_of
from app.models.search import SearchDocument, SearchSubject


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDocument:
    """A document and its terms, ready to be written."""

    document: IndexedDocument
    streams: TermStreams
    words: list[str]


class SearchIndex:
    """It changes in the caller's transaction and never commits.

    Resources with `deleted_at` set are never found, even while their documents are still indexed.
    """

    def __init__(self, terms: TermStore) -> None:
        self._terms = terms

    def prepare(self, document: IndexedDocument) -> PreparedDocument:
        """Cut the document into terms: the long part of indexing, which needs no transaction."""
        names = (document.creator or "", *document.other_creators)
        words = vocabulary_of((document.title, *names, *document.subjects, document.body))
        return PreparedDocument(document=document, streams=_streams(document), words=words)

    def upsert(self, session: Session, document: IndexedDocument) -> bool:
        """`prepare` and `write` in one."""
        return self.write(session, self.prepare(document))

    def write(self, session: Session, prepared: PreparedDocument) -> bool:
        """Index the document, unless a newer version of it is indexed already: then False, and nothing changes."""
        document, streams = prepared.document, prepared.streams
        known = select(SearchDocument.terms_sha256).where(SearchDocument.resource_id == document.resource_id)
        before = session.scalar(known)
        values = _values(document) | {"terms_sha256": streams.digest()}
        upsert: Any = document_upsert(session, values, newest="built_from", key="resource_id", model=SearchDocument)
        number = session.scalar(upsert.returning(SearchDocument.number))
        if number is None:
            return False
        self._write_subjects(session, number, document.subjects)
        if before != values["terms_sha256"]:
            self._terms.write(session, number, streams)
            remember(session, prepared.words)
        return True

    def remove(self, session: Session, resource_id: UUID) -> None:
        """Forget the resource; nothing happens when it is not indexed."""
        session.execute(
            delete(SearchDocument).where(SearchDocument.resource_id == resource_id),
            execution_options={"synchronize_session": False},
        )

    def entry(self, session: Session, resource_id: UUID) -> tuple[Any, ...] | None:
        """All that searches know of the resource: as long as it is equal, they answer the same. None: not indexed."""
        columns = [column for column in SearchDocument.__table__.columns if column.key not in {"built_from", "change"}]
        row = session.execute(select(*columns).where(SearchDocument.resource_id == resource_id)).one_or_none()
        if row is None:
            return None
        subjects = select(SearchSubject.subject).where(SearchSubject.number == row.number)
        return (*row, *session.scalars(subjects.order_by(SearchSubject.subject)))

    def distrust(self, session: Session, resource_ids: Sequence[UUID] | None = None) -> None:
        """Have the next upsert of these, or of all, write their terms, even if they are what was written last."""
        chosen = update(SearchDocument)
        if resource_ids is not None:
            chosen = chosen.where(SearchDocument.resource_id.in_(resource_ids))
        session.execute(chosen.values(terms_sha256=b""), execution_options={"synchronize_session": False})

    def search(self, session: Session, query: Query, *, filters: Filters, limit: int, offset: int = 0) -> Matches:
        """The best hits first: those with all wanted words in a row, then by weight of the words found.

        The order is total, so pages neither repeat nor skip while the index stays as it is.
        """
        if not query.asks_for_something:
            return Matches()
        matched = matching_documents(self._terms.candidates(query), query, filters)
        return answer(session, matched, limit=limit, offset=offset)

    def best(
        self,
        session: Session,
        query: Query,
        *,
        filters: Filters,
        limit: int,
        among: Sequence[UUID] | None = None,
    ) -> list[Hit]:
        """The first hits of `search` (of these resources, or of all), without their count and their facets."""
        if not query.asks_for_something:
            return []
        matched = matching_documents(self._terms.candidates(query), query, filters)
        if among is not None:
            matched = matched.where(SearchDocument.resource_id.in_(among))
        return best(session, matched, limit=limit)

    @property
    def scores_stand_alone(self) -> bool:
        """Whether the score of a document is its own, whatever the others say."""
        return self._terms.scores_stand_alone

    def admitted(
        self, session: Session, query: Query, *, filters: Filters, among: Sequence[UUID] | None = None
    ) -> set[UUID]:
        """Which indexed resources (of `among`, or of all) satisfy every clause and filter."""
        text = self._terms.conditions(query, SearchDocument.__table__.c.number)
        statement = select(SearchDocument.resource_id).where(
            is_live(SearchDocument.resource_id), *text, *conditions(query, filters)
        )
        if among is not None:
            statement = statement.where(SearchDocument.resource_id.in_(among))
        return set(session.scalars(statement))

    def facets(self, session: Session, resource_ids: Sequence[UUID]) -> Facets:
        """The facets of these resources."""
        return facets_of(session, resource_ids)

    def suggest(self, session: Session, query: Query, text: str) -> str | None:
        """The text with unknown words replaced by near ones that are indexed; None when there are none."""
        return corrected(session, query, text, lambda term: self._terms.documents_with(session, term))

    def optimize(self, session: Session) -> None:
        """Compact the index after much was changed. Answers stay the same."""
        self._terms.optimize(session)

    def _write_subjects(self, session: Session, number: int, subjects: Sequence[str]) -> None:
        session.execute(
            delete(SearchSubject).where(SearchSubject.number == number),
            execution_options={"synchronize_session": False},
        )
        wanted = dict.fromkeys(cleaned for subject in subjects if (cleaned := subject.strip()))
        if wanted:
            session.execute(insert(SearchSubject), [{"number": number, "subject": subject} for subject in wanted])


def open_index(dialect_name: str) -> SearchIndex:
    """The index of this database: `sqlite` or `postgresql`."""
    stores: dict[str, type[TermStore]] = {"sqlite": SqliteTermStore, "postgresql": PostgresTermStore}
    if dialect_name not in stores:
        raise SettingsError(f"DATABASE_URL: no full-text search on {dialect_name}")
    return SearchIndex(stores[dialect_name]())


def _streams(document: IndexedDocument) -> TermStreams:
    return TermStreams(
        title=terms_of(document.title),
        creator=terms_of(" ; ".join((document.creator or "", *document.other_creators))),
        subject=terms_of(" ; ".join(document.subjects)),
        body=terms_of(document.body),
    )


def _values(document: IndexedDocument) -> dict[str, Any]:
    return {
        "resource_id": document.resource_id,
        "built_from": document.built_from,
        "language": _lowered(document.language),
        "type": _lowered(document.type),
        "format": _lowered(document.format),
        "creator": (document.creator or "").strip() or None,
        "publication_year": document.publication_year,
        "classification_code": _cleaned(document.classification_code),
    }


def _cleaned(value: str | None) -> str | None:
    """Without what stands between packed facets."""
    return (value or "").replace(BETWEEN, " ").strip() or None


def _lowered(value: str | None) -> str | None:
    return (_cleaned(value) or "").lower() or None
