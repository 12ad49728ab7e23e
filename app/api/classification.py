"""`/classification` and `/resources/{id}/classification`: the codes, decisions, models, and what is to be reviewed."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from app.access import Administers, Reads, Writes
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.preconditions import IfMatch, etag, versions_of
from app.api.rate_limit import CausesTasks
from app.api.resources import JsonOnly
from app.errors import InvalidInput
from app.knowledge.category_tree import Category, CategoryTree
from app.schemas.classification import (
    CODE_PATTERN,
    CategoryCreate,
    CategoryFields,
    CategoryNode,
    CategoryOut,
    ClassificationOut,
    Decision,
    ModelOut,
    ModelPage,
    ReviewOut,
    ReviewPage,
    Tree,
)
from app.schemas.shape import Cursor
from app.services import category_codes, classification, classifiers
from app.services.classification import ReviewPosition

router = APIRouter(tags=["classification"])

Code = Annotated[str, Path(pattern=CODE_PATTERN, max_length=16)]
_ETAG = {"ETag": {"description": "The version of the resource, in quotes", "schema": {"type": "string"}}}


@router.get(
    "/classification/tree",
    operation_id="read_classification_tree",
    summary="The codes that documents are put into",
    dependencies=[Reads],
)
def read_tree(library: TheLibrary) -> Tree:
    """Ten classes with their divisions to start with; people may change them."""
    with library.database.reader() as session:
        tree = category_codes.tree(session)
    return Tree(items=[_node(tree, code) for code in tree.roots])


@router.post(
    "/classification/codes",
    status_code=201,
    operation_id="create_classification_code",
    summary="Add a code",
    responses=problems(409, 429),
    dependencies=[Administers, CausesTasks, JsonOnly],
)
def create_code(body: CategoryCreate, library: TheLibrary) -> CategoryOut:
    """Documents that nobody has decided on are judged anew, slice by slice."""
    return CategoryOut.model_validate(category_codes.create(library, Category(**body.model_dump())))


@router.put(
    "/classification/codes/{code}",
    operation_id="update_classification_code",
    summary="Change what is said of a code",
    responses=problems(429),
    dependencies=[Administers, CausesTasks, JsonOnly],
)
def update_code(code: Code, body: CategoryFields, library: TheLibrary) -> CategoryOut:
    """Replaces label, description and place. Predictions follow, slice by slice."""
    return CategoryOut.model_validate(category_codes.change(library, Category(code=code, **body.model_dump())))


@router.delete(
    "/classification/codes/{code}",
    status_code=204,
    operation_id="delete_classification_code",
    summary="Remove a code that nothing needs",
    responses=problems(409, 429),
    dependencies=[Administers, CausesTasks],
)
def delete_code(code: Code, library: TheLibrary) -> None:
    """409 while it has codes below it, people have put documents into it, or the model in force knows it."""
    category_codes.delete(library, code)


@router.get(
    "/classification/models",
    operation_id="list_classification_models",
    summary="The models that were trained, and how they did",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_models(
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next_cursor` of the page before")] = None,
) -> ModelPage:
    """One each time that people had decided something new; what was better on the held-out documents is in force."""
    with library.database.reader() as session:
        found = classifiers.newest(session, limit=limit + 1, before=cursor)
        name = classifiers.name_in_force(session, library.embedding_model)
    shown = [ModelOut.model_validate(one) for one in found[:limit]]
    more = str(shown[-1].number) if len(found) > limit else None
    return ModelPage(items=shown, in_force=name, next_cursor=more)


@router.get(
    "/classification/review",
    operation_id="list_classifications_to_review",
    summary="What the model is not sure of, and nobody has decided",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_to_review(
    library: TheLibrary,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[Cursor | None, Query(description="`next_cursor` of the page before")] = None,
) -> ReviewPage:
    """The least certain first. A decision takes a document off the list."""
    found = classification.to_review(library, limit=limit + 1, after=_decoded(cursor) if cursor else None)
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return ReviewPage(
        items=[ReviewOut.model_validate(one) for one in shown],
        total=classification.count_to_review(library),
        next_cursor=_encoded(last.confidence, last.resource_id) if last else None,
    )


@router.get(
    "/resources/{resource_id}/classification",
    operation_id="read_resource_classification",
    summary="The class of a document, who decided it, and how sure the model is",
    responses={200: {"headers": _ETAG}},
    dependencies=[Reads],
)
def read_classification(resource_id: UUID, library: TheLibrary, response: Response) -> ClassificationOut:
    """Null and `stale` until first computed."""
    with library.database.reader() as session:
        found = classification.read(library, session, resource_id)
    response.headers["ETag"] = etag(found.version)
    return ClassificationOut.model_validate(found)


@router.put(
    "/resources/{resource_id}/classification",
    operation_id="decide_resource_classification",
    summary="Decide the class of a document",
    responses={**problems(412, 429), 200: {"headers": _ETAG}},
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def decide_classification(
    resource_id: UUID, body: Decision, library: TheLibrary, response: Response, if_match: IfMatch = None
) -> ClassificationOut:
    """It is the field `classification_code` of the document. No model changes it; the next training learns from it."""
    found = classification.decide(library, resource_id, body.code, accepted_versions=versions_of(if_match))
    response.headers["ETag"] = etag(found.version)
    return ClassificationOut.model_validate(found)


@router.delete(
    "/resources/{resource_id}/classification",
    operation_id="undecide_resource_classification",
    summary="Leave the class of a document to the model again",
    responses={**problems(412, 429), 200: {"headers": _ETAG}},
    dependencies=[Writes, CausesTasks],
)
def undecide_classification(
    resource_id: UUID, library: TheLibrary, response: Response, if_match: IfMatch = None
) -> ClassificationOut:
    """Answers what the model says. Nothing happens where nobody had decided."""
    found = classification.decide(library, resource_id, None, accepted_versions=versions_of(if_match))
    response.headers["ETag"] = etag(found.version)
    return ClassificationOut.model_validate(found)


def _node(tree: CategoryTree, code: str) -> CategoryNode:
    return CategoryNode(**asdict(tree.categories[code]), children=[_node(tree, one) for one in tree.children(code)])


def _encoded(confidence: float, resource_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{confidence!r} {resource_id}".encode()).decode().rstrip("=")


def _decoded(cursor: str) -> ReviewPosition:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        confidence, resource_id = packed.decode().split(" ")
        position = ReviewPosition(confidence=float(confidence), resource_id=UUID(resource_id))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("cursor: not one that this list gave out") from error
    if not math.isfinite(position.confidence):
        raise InvalidInput("cursor: not one that this list gave out")
    return position
