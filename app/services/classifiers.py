"""Classifiers: which one is in force, and the ones that were trained."""

from __future__ import annotations

from sqlalchemy import ColumnElement, String, cast, func, literal, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.events import counters
from app.models.classification import ModelVersion
from app.models.derived import Counter

TREE = "classification_tree"
"""Counter that moves with every change of the codes: what was said of the old ones is stale then."""
MODELS = "classification_models"
"""Counter of the trained models; its row orders trainings that end at once."""
ZERO_SHOT = "zero-shot-2"
"""Whoever changes what it says of some document raises the number: what an earlier one said is stale then."""
TRAINED = "trained-"


def in_force(embedding_model: str) -> ColumnElement[str]:
    """The name of the classifier in force: `trained-3/7/…` or `zero-shot-2/7/…`, 7 being the revision of the codes.

    A model that was trained on the vectors of another embedding model is not in force.
    """
    trained = (
        select(literal(TRAINED) + cast(ModelVersion.number, String))
        .where(ModelVersion.is_active, ModelVersion.embedding_model == embedding_model)
        .scalar_subquery()
    )
    revision = select(cast(Counter.value, String)).where(Counter.name == TREE).scalar_subquery()
    separator = literal("/")
    name = func.coalesce(trained, literal(ZERO_SHOT)) + separator + func.coalesce(revision, literal("0"))
    return name + separator + literal(embedding_model)


def name_in_force(session: Session, embedding_model: str) -> str:
    """`in_force`, asked now."""
    return str(session.scalar(select(in_force(embedding_model))))


def active(session: Session, embedding_model: str) -> ModelVersion | None:
    """The trained model in force, without its parameters."""
    chosen = select(ModelVersion).where(ModelVersion.is_active, ModelVersion.embedding_model == embedding_model)
    return session.scalars(chosen).one_or_none()


def parameters_of(session: Session, number: int) -> bytes | None:
    """The numbers of a model."""
    return session.scalar(select(ModelVersion.parameters).where(ModelVersion.number == number))


def newest(session: Session, *, limit: int, before: int | None = None) -> list[ModelVersion]:
    """Trained models, the newest first, from the one before `before` on."""
    chosen = select(ModelVersion).order_by(ModelVersion.number.desc()).limit(limit)
    return list(session.scalars(chosen if before is None else chosen.where(ModelVersion.number < before)))


def find(session: Session, number: int) -> ModelVersion:
    """The model of this number; `NotFound`."""
    model = session.get(ModelVersion, number)
    if model is None:
        raise NotFound(f"there is no classification model {number}")
    return model


def move_tree(session: Session) -> None:
    """The codes change in this transaction: nobody else changes them until its commit."""
    counters.count(session, TREE, 1)


def tree_changes(session: Session) -> int:
    """How often the codes were changed: what is computed after this was read has seen the last time."""
    return counters.read(session, TREE)
