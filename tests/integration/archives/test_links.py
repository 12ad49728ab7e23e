"""What a document cites, and what it is cited by, is the same after an import: its links are not in its text."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.models.citation import Citation, ResourceKey
from app.models.resource import Resource
from app.services import citation_graph, citations, resources
from app.services.library import Library
from tests.integration.archives.conftest import as_lines, create, exported, imported, records

pytestmark = pytest.mark.integration


def cited(library: Library) -> set[tuple[Any, ...]]:
    """Every citation of the library, extracted and aimed."""
    with library.database.reader() as session:
        ids = list(session.scalars(select(Resource.id).where(Resource.deleted_at.is_(None)).order_by(Resource.id)))
    for one in ids:
        citations.extract(library, one, work=library.work)
        citation_graph.update(library, one, work=library.work)
    wanted = (Citation.resource_id, Citation.work, Citation.raw, Citation.position, Citation.target_resource_id)
    with library.database.reader() as session:
        return {tuple(row) for row in session.execute(select(*wanted))}


def keys(library: Library) -> set[tuple[UUID, str]]:
    """By which documents are found; those of a deleted one are none of the export."""
    alive = select(ResourceKey.resource_id, ResourceKey.key).join(Resource).where(Resource.deleted_at.is_(None))
    with library.database.reader() as session:
        return {(row[0], row[1]) for row in session.execute(alive)}


def zebras(lines: list[bytes]) -> dict[str, Any]:
    return next(said for said in records(lines, "resource") if said["title"] == "On zebras")


def test_an_imported_page_cites_what_the_original_cites(full: Library, other: Library) -> None:
    lines = exported(full)
    page = zebras(lines)
    assert [link["href"] for link in page["links"]] == [
        "https://doi.org/10.1234/zebra.7",
        "https://zebras.example/stripes",
    ]
    assert "10.1234" not in page["content"]
    stripes = next(said["id"] for said in records(lines, "resource") if said["title"] == "Stripes")

    assert imported(other, lines).failures == []

    before, after = cited(full), cited(other)
    assert after == before
    assert {str(row[-1]) for row in after if str(row[0]) == page["id"]} == {stripes, "None"}
    assert keys(other) == keys(full)


def test_another_document_of_the_library_cites_an_imported_one(small: Library, other: Library) -> None:
    citing = create(other, content="Stripes were explained long ago (doi:10.1234/zebra.7).")
    assert [row[-1] for row in cited(other)] == [None]

    lines = exported(small)
    stripes = next(said["id"] for said in records(lines, "resource") if said["title"] == "Stripes")
    imported(other, lines)

    assert {str(row[-1]) for row in cited(other) if row[0] == citing} == {stripes}


def test_a_line_from_before_there_were_links_is_taken_and_forgets_none(small: Library, other: Library) -> None:
    page = zebras(exported(small))
    old = {name: value for name, value in page.items() if name != "links"}
    newer = {**old, "version": old["version"] + 1, "rights": "free"}

    assert imported(other, as_lines(old)).outcomes == {"created": 1}
    assert zebras(exported(other)) == {**page, "links": []}

    assert imported(small, as_lines(newer)).outcomes == {"updated": 1}
    assert zebras(exported(small))["links"] == page["links"]
    retold = {**newer, "version": old["version"] + 9, "content": None, "content_sha256": None}
    assert imported(small, as_lines(retold)).outcomes == {"updated": 1}
    assert zebras(exported(small))["links"] == []


def test_other_links_of_the_same_text_are_cited(small: Library, other: Library) -> None:
    page = zebras(exported(small))
    imported(other, as_lines({**page, "links": []}))
    assert cited(other) == set()

    imported(other, as_lines({**page, "version": page["version"] + 1, "rights": "free"}))

    assert {row[1] for row in cited(other)} == {"doi:10.1234/zebra.7", "url:zebras.example/stripes"}


def test_links_that_cannot_be_stored_are_refused(small: Library, other: Library) -> None:
    page = zebras(exported(small))
    nul = {**page, "links": [{"href": "a\x00b", "text": "", "position": 0}]}
    before_the_text = {**page, "links": [{"href": "a", "text": "", "position": -1}]}

    report = imported(other, as_lines(nul, before_the_text))

    assert [failure.detail for failure in report.failures] == [
        "links: it holds a NUL character or half of a surrogate pair",
        "links.0.position: Input should be greater than or equal to 0",
    ]
    with other.database.reader() as session, pytest.raises(Exception, match="there is no resource"):
        resources.find(session, UUID(page["id"]))
