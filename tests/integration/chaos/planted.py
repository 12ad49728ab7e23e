"""A library in which all is well, as a scenario leaves it, and the hand that spoils it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from app.database import Database
from app.models.author import AuthorSet
from app.models.base import new_id, now
from app.models.citation import CitationSet
from app.models.classification import ResourceCategory
from app.models.derived import DerivedKind, DerivedState, Embedding, QualityHistory, QualityScore
from app.models.outbox import CallState, DeadLetter, EffectRecord, EventRecord, TaskCall
from app.models.resource import Resource
from app.models.search import SearchDocument
from app.services.derived_states import REVISIONS
from chaos.invariants.observed import Bounds, Observed
from chaos.ledger import Entry, Ledger, Write
from chaos.tables import Tables

TASKS = {
    DerivedKind.SEARCH_INDEX: "update_search_index_task",
    DerivedKind.EMBEDDING: "regenerate_embedding_task",
    DerivedKind.QUALITY: "recompute_quality_task",
    DerivedKind.AUTHORS: "normalize_authors_task",
    DerivedKind.CLASSIFICATION: "classify_resource_task",
    DerivedKind.CITATIONS: "extract_citations_task",
}
CONTENT = "Some text about zebras."


class Planted:
    """Rows by the models, so that the checker's own SQL is what is tried. `seen` is what it is given."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.seen = Observed(
            tables=Tables(url),
            ledger=Ledger(),
            bounds=Bounds(is_faultless=True),
            drained_seconds=1.0,
            consuming_seconds={"worker": 0.5},
            rate=50.0,
        )
        self.began = now() - timedelta(minutes=5)

    def accept(self) -> UUID:
        """A resource that a client wrote, with its event, and everything derived from it once."""
        resource_id = new_id()
        self.seen.ledger.entries[str(resource_id)] = Entry(version=1, most=1, content=CONTENT)
        self.seen.ledger.note(Write(at=self.began, seconds=0.01, status=201, what="POST /resources"))
        resource = Resource(id=resource_id, title="A zebra", content=CONTENT, content_version=1)
        self.add(resource)
        event_id = self.event("resource.created", resource_id)
        for kind in DerivedKind:
            self.build(resource_id, kind, cause=event_id)
        self.add(*self._derived(resource_id))
        return resource_id

    def event(self, name: str, subject: UUID, *, after_seconds: float = 0) -> UUID:
        """Something that happened to a resource, so long after the beginning; the event's id."""
        event = EventRecord(
            id=new_id(),
            name=name,
            data={},
            priority=50,
            correlation_id="c",
            subject=subject,
            timestamp=self.began + timedelta(seconds=after_seconds),
        )
        self.add(event)
        return event.id

    def build(
        self,
        resource_id: UUID,
        kind: DerivedKind,
        *,
        cause: UUID | None = None,
        version: int = 1,
        after_seconds: float = 0,
        **fields: object,
    ) -> UUID:
        """A call that was due, started and done once, and its effect; its id. `cause` None: an event of its own."""
        due = self.began + timedelta(seconds=after_seconds)
        if cause is None:
            cause = self.event("something.happened", resource_id)
        call = TaskCall(
            **{
                "id": new_id(),
                "task": TASKS[kind],
                "args": [str(resource_id)],
                "queue": "default",
                "priority": 5,
                "kind": kind,
                "subject": resource_id,
                "subject_version": version,
                "state": CallState.DONE,
                "generation": 1,
                "due_at": due,
                "latest_due_at": due,
                "claimed_at": _after(due, 10),
                "sent_at": _after(due, 15),
                "started_at": _after(due, 20),
                "starts": 1,
                "done_at": _after(due, 30),
                "correlation_id": "c",
                "causation_id": str(cause),
                **fields,
            }
        )
        self.add(call)
        self.effect(call.id, resource_id, kind, version=version, at=_after(due, 30))
        return call.id

    def effect(self, call_id: UUID, resource_id: UUID, kind: DerivedKind, *, version: int, at: datetime) -> None:
        """One row of the append-only record."""
        record = EffectRecord(
            call_id=call_id,
            generation=1,
            owner="host:1:x",
            attempt=1,
            task=TASKS[kind],
            kind=kind,
            subject=resource_id,
            version=version,
            correlation_id="c",
            at=at,
        )
        self.add(record)

    def score(self, resource_id: UUID, *, version: int, at: datetime) -> None:
        """One row of the history of scores."""
        self.add(QualityHistory(resource_id=resource_id, scores={}, built_from=version, at=at))

    def bury(self, subject: UUID) -> None:
        """A dead letter."""
        letter = DeadLetter(
            call_id=new_id(),
            generation=1,
            task="t",
            args=[],
            queue="ingest",
            priority=5,
            subject=subject,
            reason="retries_exhausted",
            error={},
            attempts=4,
            first_at=self.began,
        )
        self.add(letter)

    def add(self, *rows: object) -> None:
        with self.database.writer() as session:
            session.add_all(rows)

    def run(self, sql: str, *values: object) -> None:
        """Behind everyone's back."""
        self.seen.tables.query(sql, *values)

    def _derived(self, resource_id: UUID) -> list[object]:
        scores = dict.fromkeys(("accuracy", "completeness", "consistency", "timeliness", "relevance", "overall"), 0.5)
        return [
            SearchDocument(resource_id=resource_id, built_from=1, terms_sha256=b"\0" * 32),
            Embedding(
                resource_id=resource_id,
                model_id="m",
                dim=1,
                vector=b"\0" * 4,
                passage_count=0,
                passages=b"",
                built_from=1,
                change=1,
            ),
            QualityScore(resource_id=resource_id, weights={}, built_from=1, **scores),
            AuthorSet(resource_id=resource_id, built_from=1),
            ResourceCategory(
                resource_id=resource_id,
                predicted=None,
                confidence=0.0,
                classifier="c",
                built_from=1,
                updated_at=self.began,
            ),
            CitationSet(resource_id=resource_id, built_from=1, total=0),
            QualityHistory(resource_id=resource_id, scores=scores, built_from=1, at=_after(self.began, 30)),
            *(
                DerivedState(resource_id=resource_id, kind=kind, built_from=1, revision=REVISIONS.get(kind, 1))
                for kind in DerivedKind
            ),
        ]


def _after(moment: datetime, milliseconds: float) -> datetime:
    return moment + timedelta(milliseconds=milliseconds)
