"""What users do and like: `/interactions`, `/profile`, `/recommendations`.

An API key belongs to an application, not to a person: whoever may read can ask about any `user_id`, and whoever may
write can speak for any. Which of its users may see what is for the application to decide.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.access import Reads, Writes
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.rate_limit import CausesTasks
from app.api.resources import IdempotencyKeyHeader, JsonOnly
from app.schemas.recommendation import (
    InteractionCreate,
    InteractionOut,
    InteractionPage,
    Profile,
    Recommendations,
    UserId,
)
from app.schemas.shape import Cursor
from app.services import interactions, profiles, recommendations
from app.services.idempotency import Answer, answer_once, keyed_request
from app.services.unit_of_work import UnitOfWork

router = APIRouter(tags=["recommendations"])

AskedUser = Annotated[UserId, Query()]


@router.post(
    "/interactions",
    status_code=201,
    operation_id="track_interaction",
    summary="Note what a user did with a document",
    responses=problems(404, 429),
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def track_interaction(
    body: InteractionCreate, library: TheLibrary, idempotency_key: IdempotencyKeyHeader = None
) -> InteractionOut:
    """The user's profile follows after 300 s without another one, and at once with every tenth."""
    request = keyed_request(idempotency_key, b"POST /interactions", body.model_dump_json(exclude_unset=True).encode())

    def act(unit: UnitOfWork) -> Answer:
        tracked = InteractionOut.model_validate(interactions.track(body.model_dump(), unit=unit))
        return Answer(status=201, body=tracked.model_dump(mode="json"), headers={})

    return InteractionOut.model_validate(answer_once(library, request, act).body)


@router.get(
    "/interactions",
    response_model=InteractionPage,
    operation_id="list_interactions",
    summary="What a user did, page by page",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_interactions(
    user_id: AskedUser,
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before")] = None,
) -> Any:
    """The newest first. Those with documents that are deleted go with them, a day later."""
    return interactions.list_page(library, user_id=user_id, limit=limit, cursor=cursor)


@router.delete(
    "/users/{user_id}/interactions",
    status_code=204,
    operation_id="forget_user",
    summary="Forget a user",
    dependencies=[Writes],
)
def forget_user(user_id: UserId, library: TheLibrary) -> None:
    """Interactions, their events, the profile and what is recommended are gone. Of nobody there is nothing to forget.

    Answers kept for an `Idempotency-Key` go after a day, calls that were on their way with the retention of calls.
    """
    interactions.forget(library, user_id)


@router.get(
    "/profile",
    response_model=Profile,
    operation_id="read_profile",
    summary="What a user likes",
    dependencies=[Reads, KnownParametersOnly],
)
def read_profile(user_id: AskedUser, library: TheLibrary) -> Any:
    """The state is `none` for a user who did nothing yet."""
    return profiles.read(library, user_id)


@router.get(
    "/recommendations",
    response_model=Recommendations,
    operation_id="recommend",
    summary="Documents that suit a user, with reasons",
    dependencies=[Reads, KnownParametersOnly],
)
def recommend(user_id: AskedUser, library: TheLibrary, limit: Annotated[int, Query(ge=1, le=50)] = 10) -> Any:
    """None that the user has seen. Who is unknown gets what is good, new and liked by others."""
    return recommendations.recommend(library, user_id, limit=limit)
