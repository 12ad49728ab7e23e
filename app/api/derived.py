"""What is derived from a resource: `/resources/{id}/status`, `/resources/{id}/quality`, `/consistency`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from app.access import Reads
from app.api.context import TheLibrary
from app.models.derived import DerivedKind
from app.schemas.derived import Consistency, Quality, ResourceStatus
from app.services import consistency, derived_states, quality, resources

router = APIRouter(tags=["derived"], dependencies=[Reads])


@router.get(
    "/resources/{resource_id}/status",
    response_model=ResourceStatus,
    operation_id="read_resource_status",
    summary="Where ingestion is, and whether what is derived is fresh",
)
def read_resource_status(resource_id: UUID, library: TheLibrary) -> Any:
    """`stale` means that a rebuild is due or on its way; `failed` that nobody will try again by himself."""
    with library.database.reader() as session:
        return consistency.resource_status(
            session, resources.find(session, resource_id), embedding_model=library.embedding_model
        )


@router.get(
    "/resources/{resource_id}/quality",
    operation_id="read_resource_quality",
    summary="Five dimensions of quality and their weighted mean",
)
def read_resource_quality(resource_id: UUID, library: TheLibrary) -> Quality:
    """Null and `stale` until first computed."""
    with library.database.reader() as session:
        resource = resources.find(session, resource_id)
        in_force = derived_states.built_in_force(session, resource_id, DerivedKind.QUALITY)
        build = derived_states.build_number(session, resource_id, DerivedKind.QUALITY)
    score = quality.read(library, resource_id, build=build)
    if score is None:
        return Quality(resource_id=resource_id, state="stale", built_from=0)
    wanted = getattr(resource, derived_states.input_version(DerivedKind.QUALITY).key)
    return Quality(**score, state="fresh" if in_force >= wanted else "stale")


@router.get(
    "/consistency",
    response_model=Consistency,
    operation_id="read_consistency",
    summary="How much of what is derived is stale",
)
def read_consistency(library: TheLibrary) -> Any:
    """After any fault this returns to `converged` by itself."""
    with library.database.reader() as session:
        return consistency.overview(session, embedding_model=library.embedding_model)
