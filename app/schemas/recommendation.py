"""Interactions of users, their profiles, and what is recommended to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, model_validator

from app.schemas.derived import Score
from app.schemas.shape import Input, Output, whole_number

USER_ID_LENGTH_MAX = 128
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
Act = Literal["view", "annotation", "collection_add", "export", "rating"]
UserId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._~@:|+=-]*$",
        max_length=USER_ID_LENGTH_MAX,
        description="Whatever the application calls its user; it means nothing here",
    ),
]
Rating = Annotated[int, Field(strict=False, ge=1, le=5), BeforeValidator(whole_number)]


def _in_utc(moment: datetime) -> datetime:
    """The first and the last day of the calendar have no room for every zone."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return FIRST if moment.year == 1 else LAST


Moment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(_in_utc)]
EXAMPLE: dict[str, Any] = {
    "user_id": "ada",
    "resource_id": "0198c0de-0000-7000-8000-000000000001",
    "type": "annotation",
}
_RATED: dict[str, Any] = {
    "required": ["rating"],
    "properties": {"type": {"const": "rating"}, "rating": {"type": "integer"}},
}
_NOT_RATED: dict[str, Any] = {"properties": {"type": {"not": {"const": "rating"}}, "rating": {"type": "null"}}}


class InteractionCreate(Input):
    """Something a user did with a resource. `rating`, 1 to 5, comes with the type `rating` and with no other."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_RATED, _NOT_RATED], "examples": [EXAMPLE]})

    user_id: UserId
    resource_id: Annotated[UUID, Field(strict=False)]
    type: Act
    rating: Rating | None = None
    at: Moment | None = Field(default=None, description="When it was; now if left out, and no later than now")

    @model_validator(mode="after")
    def _rates_with_a_rating(self) -> InteractionCreate:
        if (self.type == "rating") != (self.rating is not None):
            raise ValueError("a rating has a number from 1 to 5, and nothing else has one")
        return self


class InteractionOut(Output):
    """One interaction; `number` counts those of its user from 1."""

    id: UUID
    user_id: str
    number: int
    resource_id: UUID
    type: Act
    rating: int | None
    at: datetime


class InteractionPage(Output):
    """One page, the newest first. `total` counts all pages; `next_cursor` is null on the last one."""

    items: list[InteractionOut]
    total: int
    next_cursor: str | None


class LikingOut(Output):
    """A document that the user likes, how much, and what they did that says so."""

    resource_id: UUID
    weight: float
    type: Act


class Profile(Output):
    """What a user likes. `stale`: built from fewer interactions, or from documents that have changed since."""

    user_id: str
    state: Literal["none", "stale", "fresh"]
    total_interactions: int
    built_from: int = Field(description="How many of the interactions it is built from; 0 until first built")
    subjects: dict[str, float] = Field(default={}, description="-0.15 (disliked) to 0.75 (all that is liked has it)")
    authors: dict[str, float] = {}
    likings: list[LikingOut] = []
    has_vector: bool = False
    model_id: str | None = None
    updated_at: datetime | None = None


class Because(Output):
    """What the user did, with which document."""

    resource_id: UUID
    title: str
    type: Act


class Reason(Output):
    """Why: in words, by the part that adds most to the score, and by what that part is due to."""

    text: str
    part: Literal["content", "affinity", "citations", "quality", "recency", "popularity"]
    because: Because | None
    about: str | None = Field(description="The liked subject or author that the document shares")


class RecommendationParts(Output):
    """What each part adds to the score."""

    content: Score
    affinity: Score
    citations: Score
    quality: Score
    recency: Score
    popularity: Score


class Recommendation(Output):
    """One document, its score, and the reason."""

    id: UUID
    title: str
    creator: str | None
    score: Score
    parts: RecommendationParts
    reason: Reason


class Recommendations(Output):
    """Documents for one user, the best first. `cold_start`: nothing is known that the user likes."""

    user_id: str
    cold_start: bool
    items: list[Recommendation]
