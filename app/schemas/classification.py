"""Classification: the codes, the class of a resource, the models, and what is to be reviewed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from app.schemas.derived import Score
from app.schemas.shape import Input, Name, Output, Paragraph

CODE_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z.\-]{0,15}$"

ClassificationCodeName = Annotated[str, StringConstraints(pattern=CODE_PATTERN, max_length=16)]


class CategoryFields(Input):
    """What is said of a code."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"parent": "500", "label": "Astronomy", "description": "stars, planets, galaxies, orbits, telescopes"}
            ]
        }
    )

    parent: ClassificationCodeName | None = Field(default=None, description="The code above it; null: a class")
    label: Name
    description: Paragraph = Field(
        default="", description="Phrases parted by commas that say in common words what belongs there"
    )


class CategoryCreate(CategoryFields):
    """A new code."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": "523", "parent": "520", "label": "Stars", "description": "stars, supernovae, star clusters"}
            ]
        }
    )

    code: ClassificationCodeName


class CategoryOut(Output):
    """One code of the tree."""

    code: str
    parent: str | None
    label: str
    description: str


class CategoryNode(CategoryOut):
    """One code with those below it."""

    children: list[CategoryNode]


class Tree(Output):
    """The classes, with all codes below them, in order."""

    items: list[CategoryNode]


class Decision(Input):
    """A person's decision."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "570"}]})

    code: ClassificationCodeName


class LikelyCodeOut(Output):
    """Another class that it could be."""

    code: str
    confidence: Score


class ClassificationOut(Output):
    """`code` is in force: a person's decision, else what the model says. `predicted` is the model's, beside it."""

    resource_id: UUID
    version: int = Field(description="Of the resource; the ETag")
    state: Literal["fresh", "stale"]
    code: str | None
    label: str | None
    decided_by: Literal["person", "model"] | None
    predicted: str | None
    confidence: Score | None = Field(description="How probable it is that `predicted` is right")
    alternatives: list[LikelyCodeOut]
    needs_review: bool = Field(description="The model is not sure, and nobody has decided")
    classifier: str | None = Field(description="Which model said so, on which revision of the codes")
    built_from: int = Field(description="The content version it was built from; 0 if never")


class ReviewOut(Output):
    """One document that a person should look at."""

    resource_id: UUID
    title: str
    predicted: str | None
    confidence: Score
    alternatives: list[LikelyCodeOut]


class ReviewPage(Output):
    """The least certain first. `total` counts all pages."""

    items: list[ReviewOut]
    total: int
    next_cursor: str | None


class ModelOut(Output):
    """One training: `activated`, or `kept` when the one in force was better on the held-out documents."""

    number: int
    is_active: bool
    outcome: Literal["activated", "kept"]
    embedding_model: str
    label_counts: dict[str, int]
    metrics: dict[str, Any] = Field(description="On the held-out documents, beside the model that was in force")
    created_at: datetime


class ModelPage(Output):
    """The newest first. `in_force`: what classifies now; without a trained model that is `zero-shot-2`."""

    items: list[ModelOut]
    in_force: str
    next_cursor: str | None
