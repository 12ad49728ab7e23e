"""Classifying: what the classifier in force says of a resource, from its embedding and, once trained, its terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.events.event_types import EventType
from app.knowledge.category_scores import (
    LikelyCode,
    PhraseVectors,
    Verdict,
    commonness_of,
    cosines_of_codes,
    judge,
    probabilities_with_descendants,
    zero_shot_probabilities,
)
from app.knowledge.category_tree import CategoryTree
from app.knowledge.text_features import TEXT_CHARS_MAX, counted_terms
from app.knowledge.trained_classifier import TrainedClassifier, from_bytes
from app.models.base import now
from app.models.classification import ResourceCategory
from app.models.derived import DerivedKind, Embedding
from app.models.resource import Resource
from app.services import category_codes, classification, classifiers, derived_states, embeddings, index_changes
from app.services.library import Library, Work
from app.services.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from app.embedding.embedder import Embedder

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextInput:
    """What is classified: the mean vector of a text (dimension,), its beginning, and the version of both."""

    vector: Floats
    beginning: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """The codes, and the trained model if one is in force. `name` says which these are."""

    name: str
    tree: CategoryTree
    trained: TrainedClassifier | None
    embedder: Callable[[], Embedder]

    def probabilities(self, text: TextInput) -> Mapping[str, float]:
        """How probable each code is, together with all below it; empty for a text without a word."""
        if not text.vector.any():
            return {}
        if self.trained is not None and self.trained.is_familiar(text.vector):
            of_labels = self.trained.probabilities(text.vector, counted_terms(text.beginning))
            return probabilities_with_descendants(self.tree, of_labels)
        phrases = phrase_vectors(self.tree, self.embedder())
        return zero_shot_probabilities(self.tree, cosines_of_codes(text.vector, phrases))


def classify(library: Library, resource_id: UUID, *, work: Work) -> None:
    """Say the class of a resource, unless the classifier in force has seen this text already."""
    with library.database.reader() as session:
        version = _content_version(session, resource_id)
        name = classifiers.name_in_force(session, library.embedding_model)
        known = session.get(ResourceCategory, resource_id)
        state = derived_states.built_from(session, resource_id, DerivedKind.CLASSIFICATION)
    if version is None:
        with work():
            return
    if known is not None and known.built_from == state == version and known.classifier == name:
        with work() as unit:
            unit.built(version)
            return
    text = _text_input(library, resource_id)
    if text is None:  # gone, or changed while it was embedded: that change has a call of its own
        with work():
            return
    with library.database.reader() as session:
        classifier = classifier_in_force(library, session)
    sure = library.settings.classification_review_below
    verdict = judge(classifier.tree, classifier.probabilities(text), sure=sure)
    with work() as unit:
        _store(library, unit, resource_id, verdict, classifier=classifier.name, version=text.version)


def classifier_in_force(library: Library, session: Session) -> Classifier:
    """The name is read first: what changes after it makes what is said under it stale."""
    name = classifiers.name_in_force(session, library.embedding_model)
    model = classifiers.active(session, library.embedding_model)
    trained = None
    if model is not None:
        trained = _loaded(model.training_sha256, lambda: classifiers.parameters_of(session, model.number) or b"")
    tree = category_codes.tree(session)
    return Classifier(name=name, tree=tree, trained=trained, embedder=library.embedder)


def phrase_vectors(tree: CategoryTree, embedder: Embedder) -> PhraseVectors:
    """The phrases of every code as vectors; those of the last tree are kept.

    650 phrases take 0.7 s of two processors; then each document costs a product of matrices.
    """
    phrases = tuple((code, phrase) for code, one in tree.categories.items() for phrase in one.phrases)
    key = (embedder.model_id, phrases)
    if key not in _phrases:
        found = _embedded(embedder, phrases)
        _phrases.clear()
        _phrases[key] = found
    return _phrases[key]


_phrases: dict[tuple[str, tuple[tuple[str, str], ...]], PhraseVectors] = {}


def _embedded(embedder: Embedder, phrases: tuple[tuple[str, str], ...]) -> PhraseVectors:
    codes = list(dict.fromkeys(code for code, _ in phrases))
    place = {code: number for number, code in enumerate(codes)}
    vectors = embedder.embed([phrase for _, phrase in phrases])
    return PhraseVectors(
        codes=codes,
        vectors=vectors,
        owners=np.array([place[code] for code, _ in phrases], dtype=np.int64),
        commonness=commonness_of(vectors),
    )


_models: dict[str, TrainedClassifier] = {}


def _loaded(training_sha256: str, read: Callable[[], bytes]) -> TrainedClassifier:
    """The model of this training; the last one that was used is kept."""
    model = _models.get(training_sha256)
    if model is None:
        model = from_bytes(read())
        _models.clear()
        _models[training_sha256] = model
    return model


def _content_version(session: Session, resource_id: UUID) -> int | None:
    """None: deleted, or without a text yet."""
    wanted = select(Resource.content_version).where(Resource.id == resource_id, derived_states.has_content())
    return session.scalar(wanted)


def _text_input(library: Library, resource_id: UUID) -> TextInput | None:
    """From the embedding that is stored; one that is missing is made, and stored for all who need it."""
    found = _stored(library, resource_id)
    if found is None:
        embeddings.regenerate(library, resource_id, work=library.work)
        found = _stored(library, resource_id)
    return found


def _stored(library: Library, resource_id: UUID) -> TextInput | None:
    beginning = func.substr(func.coalesce(Resource.content, ""), 1, TEXT_CHARS_MAX).label("beginning")
    chosen = (
        select(Embedding.vector, beginning, Resource.content_version)
        .join(Resource, Resource.id == Embedding.resource_id)
        .where(
            Resource.id == resource_id,
            derived_states.has_content(),
            Embedding.model_id == library.embedding_model,
            Embedding.built_from == Resource.content_version,
        )
    )
    with library.database.reader() as session:
        row = session.execute(chosen).one_or_none()
    if row is None:
        return None
    vector = np.frombuffer(row.vector, dtype="<f4").astype(np.float32)
    return TextInput(vector=vector, beginning=row.beginning, version=row.content_version)


def _store(
    library: Library, unit: UnitOfWork, resource_id: UUID, verdict: Verdict, *, classifier: str, version: int
) -> None:
    session = unit.session
    resource = derived_states.lock_for_build(session, resource_id, DerivedKind.CLASSIFICATION, version=version)
    if resource is None:
        return
    known = session.get(ResourceCategory, resource_id, populate_existing=True)
    in_force = classifiers.name_in_force(session, library.embedding_model)
    if classifier != in_force and known is not None and known.classifier == in_force:
        return  # another execution has asked the newer classifier already
    unit.built(version)
    state = derived_states.built_from(session, resource_id, DerivedKind.CLASSIFICATION)
    if known is not None and known.classifier == classifier and known.built_from == state == version:
        return  # of two executions at once, the other has written it
    row = known or ResourceCategory(resource_id=resource_id)
    row.predicted, row.confidence = (verdict.best.code, verdict.best.confidence) if verdict.best else (None, 0.0)
    row.alternatives = [_plain(one) for one in verdict.alternatives]
    row.classifier, row.built_from, row.updated_at = classifier, version, now()
    session.add(row)
    derived_states.mark_built(session, resource_id, DerivedKind.CLASSIFICATION, version=version)
    session.flush()
    index_changed = classification.tell_the_index(session, resource)
    unit.emit(
        EventType.CLASSIFICATION_COMPLETED,
        {
            "resource_id": str(resource_id),
            "content_version": version,
            "predicted": row.predicted,
            "confidence": row.confidence,
            "classifier": classifier,
        },
    )
    if index_changed:
        index_changes.note(session, [resource_id])


def _plain(one: LikelyCode) -> dict[str, str | float]:
    return {"code": one.code, "confidence": round(one.confidence, 4)}
