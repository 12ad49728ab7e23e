"""Documents to classify, and what the tables say of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from app.models.classification import ClassificationCode, ModelVersion, ResourceCategory
from app.models.outbox import EventRecord
from app.models.resource import Resource
from app.models.search import SearchDocument
from app.services import classification, classifying, consistency, embeddings, resources, search_indexing
from app.services.classification import Classification
from app.services.library import Library

WORDS = {
    "220": ("bible", "gospel", "psalm", "prophet", "apostle", "scripture", "testament"),
    "520": ("stars", "planets", "galaxies", "orbits", "telescopes", "comets", "eclipse"),
    "640": ("cooking", "recipes", "beverages", "kitchen", "sewing", "laundry", "oven"),
}
FILLING = ("and", "then", "of", "a", "in", "it", "was", "very", "much", "as", "one", "may", "see", "from", "here")
ASTRONOMY = "stars and planets, galaxies and comets: their orbits seen through telescopes"
COOKING = "cooking and recipes, beverages and the oven: sewing in the kitchen"


def few_codes(library: Library) -> None:
    """Only the classes and divisions of `WORDS`, of which the embedder of these tests knows every word."""
    with library.database.writer() as session:
        session.execute(delete(ClassificationCode).where(ClassificationCode.code.not_in([*WORDS, "200", "500", "600"])))
        for code, words in WORDS.items():
            session.get_one(ClassificationCode, code).description = ", ".join(words)


class Shelf:
    """What stands in a library."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def put(self, content: str, **fields: Any) -> UUID:
        with self.library.work() as unit:
            made = resources.create(self.library, {"content": content, **fields}, unit=unit)
        return UUID(str(made["id"]))

    def embedded(self, content: str, **fields: Any) -> UUID:
        made = self.put(content, **fields)
        embeddings.regenerate(self.library, made, work=self.library.work)
        return made

    def classified(self, content: str, **fields: Any) -> UUID:
        made = self.embedded(content, **fields)
        search_indexing.update(self.library, made, work=self.library.work)
        self.classify(made)
        return made

    def classify(self, resource_id: UUID) -> None:
        classifying.classify(self.library, resource_id, work=self.library.work)

    def decide(self, resource_id: UUID, code: str | None) -> Classification:
        return classification.decide(self.library, resource_id, code, accepted_versions=None)

    def seen(self, resource_id: UUID) -> Classification:
        with self.library.database.reader() as session:
            return classification.read(self.library, session, resource_id)

    def row(self, resource_id: UUID) -> ResourceCategory | None:
        with self.library.database.reader() as session:
            return session.get(ResourceCategory, resource_id)

    def version(self, resource_id: UUID) -> int:
        with self.library.database.reader() as session:
            return session.get_one(Resource, resource_id).version

    def indexed_code(self, resource_id: UUID) -> str | None:
        chosen = select(SearchDocument.classification_code).where(SearchDocument.resource_id == resource_id)
        with self.library.database.reader() as session:
            return session.scalar(chosen)

    def events(self, name: str) -> list[EventRecord]:
        with self.library.database.reader() as session:
            return list(session.scalars(select(EventRecord).where(EventRecord.name == name)))

    def models(self) -> list[ModelVersion]:
        with self.library.database.reader() as session:
            return list(session.scalars(select(ModelVersion).order_by(ModelVersion.number)))

    def counts(self) -> dict[str, Any]:
        with self.library.database.reader() as session:
            found = consistency.overview(session, embedding_model=self.library.embedding_model)
        counts: dict[str, Any] = found["kinds"]["classification"]
        return counts

    def labelled(self, *, each: int = 12, seed: int = 1, codes: Sequence[str] = tuple(WORDS)) -> list[UUID]:
        """Documents of every subject that people have put where they belong."""
        chosen = random.Random(seed)
        made = [(self.embedded(text_of(code, chosen)), code) for code in codes for _ in range(each)]
        for one, code in made:
            self.decide(one, code)
        return [one for one, _ in made]


def text_of(code: str, chosen: random.Random) -> str:
    """Thirty words, some of the subject."""
    words = chosen.choices(WORDS[code], k=14) + chosen.choices(FILLING, k=16)
    chosen.shuffle(words)
    return " ".join(words)
