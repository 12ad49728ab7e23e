"""`/authors`: found by any name, shown with all names and documents, merged and split by hand."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from app.access import Reads, Writes
from app.api.context import TheLibrary
from app.api.documentation import problems
from app.api.known_parameters import KnownParametersOnly
from app.api.rate_limit import CausesTasks
from app.api.resources import JsonOnly
from app.schemas.author import AuthorMerge, AuthorOut, AuthorPage, AuthorParts, AuthorSplit, AuthorSummary
from app.schemas.shape import Cursor, Line
from app.services import author_decisions, author_groups, author_pages
from app.services.library import Library

router = APIRouter(prefix="/authors", tags=["authors"])

Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[Cursor | None, Query(description="`next_cursor` of the page before")]


@router.get(
    "",
    operation_id="list_authors",
    summary="List authors, or find them by name",
    responses=problems(422),
    dependencies=[Reads, KnownParametersOnly],
)
def list_authors(
    library: TheLibrary,
    query: Annotated[Line, Query(description="Words that a name of theirs begins with; no diacritics needed")] = "",
    limit: Limit = 50,
    cursor: After = None,
) -> AuthorPage:
    """Those with most documents first."""
    return AuthorPage.model_validate(author_pages.list_page(library, query=query, limit=limit, cursor=cursor))


@router.get(
    "/{author_id}",
    operation_id="read_author",
    summary="Read one author with his names and documents",
    dependencies=[Reads, KnownParametersOnly],
)
def read_author(author_id: UUID, library: TheLibrary, limit: Limit = 50, cursor: After = None) -> AuthorOut:
    """Each name says why it is taken for his. `limit` and `cursor` are for the documents."""
    return _shown(library, author_id, limit=limit, cursor=cursor)


@router.post(
    "/{author_id}/merge",
    operation_id="merge_authors",
    summary="Say that authors are one",
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def merge_authors(author_id: UUID, body: AuthorMerge, library: TheLibrary) -> AuthorOut:
    """Remembered, also while none of their documents is here. Takes back what a split said of them."""
    merged = author_decisions.merge(library, author_id, body.author_ids)
    return _shown(library, merged, limit=50, cursor=None)


@router.post(
    "/{author_id}/split",
    operation_id="split_author",
    summary="Say that names or documents of an author are somebody else's",
    dependencies=[Writes, CausesTasks, JsonOnly],
)
def split_author(author_id: UUID, body: AuthorSplit, library: TheLibrary) -> AuthorParts:
    """Remembered: they are not merged again. By `resource_ids`, also two of the same name are told apart."""
    parts = author_decisions.split(library, author_id, variant_ids=body.variant_ids, resource_ids=body.resource_ids)
    return AuthorParts.model_validate(parts)


def _shown(library: Library, author_id: UUID, *, limit: int, cursor: str | None) -> AuthorOut:
    with library.database.reader() as session:
        author = author_pages.find(session, author_id)
        written = author_pages.names_of(session, author.id)
        variants = [
            {
                **{name: getattr(row, name) for name in ("id", "name", "orcid", "reason", "evidence", "since")},
                "written": written.get(row.id, []),
                "linked_to": author_groups.id_of(row.linked_to) if row.linked_to else None,
            }
            for row in author_pages.variants_of(session, author.id)
        ]
        page = author_pages.documents_of(session, author.id, limit=limit, cursor=cursor)
    summary: dict[str, Any] = AuthorSummary.model_validate(author).model_dump()
    documents = {"documents": page.items, "next_cursor": page.next_cursor}
    return AuthorOut.model_validate({**summary, "variants": variants, **documents})
