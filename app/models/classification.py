"""Classification: the tree of codes, what the model says of each resource, and the models that were trained."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Float, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, now

CODE_LENGTH_MAX = 16
LABEL_LENGTH_MAX = 200


class ClassificationCode(Base):
    """One category. `description`: phrases parted by commas, which say in common words what belongs there."""

    __tablename__ = "classification_codes"

    code: Mapped[str] = mapped_column(String(CODE_LENGTH_MAX), primary_key=True)
    parent: Mapped[str | None] = mapped_column(ForeignKey("classification_codes.code"), index=True)
    label: Mapped[str] = mapped_column(String(LABEL_LENGTH_MAX))
    description: Mapped[str] = mapped_column(Text, default="")
    updated_at: Mapped[datetime] = mapped_column(default=now)


class ResourceCategory(Base):
    """What a classifier says of the text of one resource.

    What a person decided is `Resource.classification_code`, and no model ever writes there: the code in force is the
    person's where there is one, else `predicted`. `alternatives`: `{"code", "confidence"}`, best first. `predicted` is
    None for a text without a word.
    """

    __tablename__ = "resource_categories"

    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id", ondelete="CASCADE"), primary_key=True)
    predicted: Mapped[str | None] = mapped_column(String(CODE_LENGTH_MAX))
    confidence: Mapped[float] = mapped_column(Float)
    alternatives: Mapped[list[Any]] = mapped_column(default=list)
    classifier: Mapped[str] = mapped_column(String(200))
    built_from: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_resource_categories_confidence", "confidence", "resource_id"),)


class ModelVersion(Base):
    """One trained classifier. `parameters` are arrays of numbers (npz): nothing in them can be executed.

    `training_sha256` names what it was trained on: the same labels and texts make no second model.
    """

    __tablename__ = "model_versions"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    embedding_model: Mapped[str] = mapped_column(String(128))
    training_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    is_active: Mapped[bool]
    outcome: Mapped[str] = mapped_column(String(16))
    label_counts: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    parameters: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        Index(
            "uq_model_versions_active",
            "is_active",
            unique=True,
            postgresql_where=text("is_active"),
            sqlite_where=text("is_active"),
        ),
    )
