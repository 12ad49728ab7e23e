"""Classification: the class of a resource, by a person's decision where there is one, else by the model in force.

The decision is the metadata field `classification_code`, which only people write; what the model says is kept beside
it. So no model can overwrite a decision, and no prediction makes a new version of a resource (ADR 0033).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.models.classification import ResourceCategory
from app.models.derived import DerivedKind
from app.models.resource import Resource
from app.models.search import SearchDocument
from app.services import category_codes, classifiers, derived_states, resources
from app.services.library import Library

DecidedBy = Literal["person", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """`code` is in force; `predicted` is the model's opinion, whoever decided. None: nothing is known yet."""

    resource_id: UUID
    version: int
    code: str | None
    label: str | None
    decided_by: DecidedBy | None
    predicted: str | None
    confidence: float | None
    alternatives: Sequence[dict[str, Any]]
    needs_review: bool
    classifier: str | None
    built_from: int
    state: Literal["fresh", "stale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A document that the model is not sure of, and nobody has decided."""

    resource_id: UUID
    title: str
    predicted: str | None
    confidence: float
    alternatives: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPosition:
    """The last item of a page."""

    confidence: float
    resource_id: UUID


def read(library: Library, session: Session, resource_id: UUID) -> Classification:
    """The class of a resource; `NotFound`."""
    resource = resources.find(session, resource_id)
    row = session.get(ResourceCategory, resource_id)
    decided, predicted = resource.classification_code, row.predicted if row else None
    code = decided or predicted
    known = category_codes.tree(session).categories
    return Classification(
        resource_id=resource_id,
        version=resource.version,
        code=code,
        label=known[code].label if code is not None and code in known else None,
        decided_by="person" if decided else "model" if predicted else None,
        predicted=predicted,
        confidence=row.confidence if row else None,
        alternatives=row.alternatives if row else (),
        needs_review=not decided and row is not None and row.confidence < library.settings.classification_review_below,
        classifier=row.classifier if row else None,
        built_from=row.built_from if row else 0,
        state="fresh" if is_fresh(session, resource, row, embedding_model=library.embedding_model) else "stale",
    )


def is_fresh(session: Session, resource: Resource, row: ResourceCategory | None, *, embedding_model: str) -> bool:
    """Whether the classifier in force has seen the newest text."""
    if row is None or resource.content_version == 0:
        return False
    noted = derived_states.built_from(session, resource.id, DerivedKind.CLASSIFICATION)
    in_force = classifiers.name_in_force(session, embedding_model)
    return min(noted, row.built_from) >= resource.content_version and row.classifier == in_force


def decide(
    library: Library, resource_id: UUID, code: str | None, *, accepted_versions: frozenset[int] | None
) -> Classification:
    """A person's decision, or with None the end of it. It is a change of the resource's metadata like any other.

    Raises `NotFound`, `InvalidInput` (no such code), `PreconditionFailed`.
    """
    with library.work() as unit:
        if code is not None:
            category_codes.hold(unit.session, code)
        resources.change(library, unit, resource_id, {"classification_code": code}, accepted_versions=accepted_versions)
    with library.database.reader() as session:
        return read(library, session, resource_id)


def code_in_force(session: Session, resource: Resource) -> str | None:
    """A person's code, else the model's."""
    return resource.classification_code or _predicted(session, resource.id)


def tell_the_index(session: Session, resource: Resource) -> bool:
    """Filters and facets of a resource that no person has decided on follow the model: whether that changed any.

    A person's code is written with the rest of the document. The resource is locked.
    """
    if resource.classification_code:
        return False
    predicted = _predicted(session, resource.id)
    is_another = SearchDocument.classification_code.is_distinct_from(predicted)
    moved = update(SearchDocument).where(SearchDocument.resource_id == resource.id, is_another)
    moved = moved.values(classification_code=predicted).returning(SearchDocument.number)
    return bool(session.execute(moved.execution_options(synchronize_session=False)).all())


def _predicted(session: Session, resource_id: UUID) -> str | None:
    return session.scalar(select(ResourceCategory.predicted).where(ResourceCategory.resource_id == resource_id))


def to_review(library: Library, *, limit: int, after: ReviewPosition | None) -> list[ReviewItem]:
    """What a person should look at, the least certain first."""
    columns = (
        *(ResourceCategory.resource_id, Resource.title, ResourceCategory.predicted),
        *(ResourceCategory.confidence, ResourceCategory.alternatives),
    )
    listed = _undecided(library, *columns).order_by(ResourceCategory.confidence, ResourceCategory.resource_id)
    if after is not None:
        beyond = and_(ResourceCategory.confidence == after.confidence, ResourceCategory.resource_id > after.resource_id)
        listed = listed.where(or_(ResourceCategory.confidence > after.confidence, beyond))
    with library.database.reader() as session:
        return [_review_item(row) for row in session.execute(listed.limit(limit))]


def count_to_review(library: Library) -> int:
    """How many documents wait for a person."""
    with library.database.reader() as session:
        return session.scalar(_undecided(library, func.count())) or 0


def _undecided(library: Library, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(ResourceCategory)
        .join(Resource, Resource.id == ResourceCategory.resource_id)
        .where(
            ResourceCategory.confidence < library.settings.classification_review_below,
            func.coalesce(Resource.classification_code, "") == "",
            Resource.deleted_at.is_(None),
        )
    )


def _review_item(row: Row[Any]) -> ReviewItem:
    return ReviewItem(
        resource_id=row.resource_id,
        title=row.title,
        predicted=row.predicted,
        confidence=row.confidence,
        alternatives=row.alternatives,
    )
