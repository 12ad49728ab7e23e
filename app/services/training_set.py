"""Training set: the documents whose class people decided, and which of them a training never sees."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.knowledge.category_tree import CategoryTree
from app.knowledge.text_features import TEXT_CHARS_MAX, counted_terms
from app.models.classification import ClassificationCode
from app.models.derived import Embedding
from app.models.resource import Resource
from app.services.derived_states import has_content

Floats = NDArray[np.float32]

HELD_OUT_SHARE = 0.2
LABEL_DOCUMENTS_MIN = 5
"""A code that people gave to fewer documents is taught as the class above it, and that with fewer not at all."""
SEED = 20_260_101
RECIPE = "logistic regression 1"
"""Part of what names a training: a change of the method makes a new model of the same labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDocument:
    """One document that a person put into `code`, and the label that it is taught as."""

    resource_id: UUID
    content_version: int
    code: str
    label: str
    vector: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Documents by label; `held_out` are the numbers of those that only judge."""

    documents: Sequence[LabelledDocument]
    held_out: frozenset[int]

    @property
    def label_counts(self) -> dict[str, int]:
        """Documents of each label, in order of the labels."""
        return dict(sorted(Counter(one.label for one in self.documents).items()))

    def sha256(self, embedding_model: str) -> str:
        """The same for the same documents, texts and decisions."""
        lines = sorted(f"{one.resource_id} {one.content_version} {one.label}" for one in self.documents)
        return hashlib.sha256("\n".join([RECIPE, str(SEED), embedding_model, *lines]).encode()).hexdigest()


def read(session: Session, tree: CategoryTree, *, embedding_model: str, most: int) -> TrainingSet:
    """The `most` documents changed last of those that a person put into a code of the tree and that are embedded.

    Copies of other documents are left out: one could be taught and the other judged.
    """
    chosen = (
        select(Resource.id, Resource.content_version, Resource.classification_code.label("code"), Embedding.vector)
        .join(Embedding, Embedding.resource_id == Resource.id)
        .join(ClassificationCode, ClassificationCode.code == Resource.classification_code)
        .where(
            has_content(),
            Resource.duplicate_of.is_(None),
            Embedding.model_id == embedding_model,
            Embedding.built_from == Resource.content_version,
            Embedding.passage_count > 0,
        )
        .order_by(Resource.updated_at.desc(), Resource.id)
        .limit(most)
    )
    rows = [row for row in session.execute(chosen) if row.code in tree]
    labels = _labels(tree, Counter(row.code for row in rows))
    documents = [
        LabelledDocument(
            resource_id=row.id,
            content_version=row.content_version,
            code=row.code,
            label=labels[row.code],
            vector=np.frombuffer(row.vector, dtype="<f4").astype(np.float32),
        )
        for row in rows
        if row.code in labels
    ]
    return TrainingSet(documents=documents, held_out=held_out(documents))


def terms(session: Session, documents: Sequence[LabelledDocument]) -> list[Counter[str]]:
    """The terms of each document, in order; a text at a time."""
    beginning = func.substr(func.coalesce(Resource.content, ""), 1, TEXT_CHARS_MAX)
    return [
        counted_terms(session.scalar(select(beginning).where(Resource.id == one.resource_id)) or "")
        for one in documents
    ]


def held_out(documents: Sequence[LabelledDocument]) -> frozenset[int]:
    """A fifth of each label, at least one, by a seeded hash of their ids.

    A document that judges today has judged before, up to a few at the border: the model in force was not taught it.
    """
    of_label: dict[str, list[int]] = {}
    for number in sorted(range(len(documents)), key=lambda one: _rank(documents[one].resource_id)):
        of_label.setdefault(documents[number].label, []).append(number)
    return frozenset(
        number for numbers in of_label.values() for number in numbers[: max(1, round(HELD_OUT_SHARE * len(numbers)))]
    )


def _rank(resource_id: UUID) -> bytes:
    return hashlib.sha256(f"{SEED} {resource_id}".encode()).digest()


def _labels(tree: CategoryTree, counts: Counter[str]) -> dict[str, str]:
    """Code to label: the nearest of the code and those above it that has documents enough."""
    counts = counts.copy()
    labels = {code: code for code in counts}
    for code in sorted(counts, key=lambda one: -len(tree.path(one))):
        at = code
        for above in tree.path(code)[1:]:
            if _taught_as(labels, counts, at) >= LABEL_DOCUMENTS_MIN:
                break
            for one in [one for one, label in labels.items() if label == at]:
                labels[one] = above
            at = above
    return {code: label for code, label in labels.items() if _taught_as(labels, counts, label) >= LABEL_DOCUMENTS_MIN}


def _taught_as(labels: dict[str, str], counts: Counter[str], label: str) -> int:
    return sum(counts[code] for code, given in labels.items() if given == label)
