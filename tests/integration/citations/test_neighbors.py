"""What is shown of the graph: pages of citations, and neighbours of a document."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import EmbedderUnavailable
from app.events.event_types import EventType
from app.index.vectors import Vectors
from app.knowledge.category_tree import Category
from app.models.classification import ResourceCategory
from app.services import (
    archives,
    category_codes,
    citation_pages,
    embeddings,
    neighbors,
    resources,
)
from app.services.library import Library
from tests.integration.citations.shelf import Shelf

pytestmark = pytest.mark.integration


def test_pages_of_citations_repeat_and_leave_out_nothing(library: Library, shelf: Shelf) -> None:
    source = shelf.put(" ".join(f"RFC {number}" for number in range(1000, 1007)))
    with library.database.reader() as session:
        found, cursor = [], None
        while True:
            page = citation_pages.list_page(session, source, direction="outgoing", limit=3, cursor=cursor)
            found += [item["rfc"] for item in page.items]
            assert page.total == 7
            if (cursor := page.next_cursor) is None:
                break

    assert found == list(range(1000, 1007))


def test_neighbours_are_by_meaning_and_by_citation_and_never_an_old_list(library: Library, shelf: Shelf) -> None:
    one = shelf.put("Zebras graze on the plain in the morning sun.", subject=["zebra"])
    like = shelf.put("Zebras graze on the plain in the evening sun.", subject=["Zebra"])
    for made in (one, like):
        embeddings.regenerate(library, made, work=library.work)
    assert [item["resource_id"] for item in neighbors.read(library, one, hops=1, limit=10)] == [str(like)]

    far = shelf.put("Quantum field theory.", doi="10.1234/far")
    middle = shelf.put("Cited: doi:10.1234/far", arxiv_id="1406.5823")
    resources.update(library, one, {"content": "Zebras graze, says arXiv:1406.5823 on the plain in the morning sun."})
    shelf.build(one)
    embeddings.regenerate(library, one, work=library.work)

    near = {item["resource_id"]: item for item in neighbors.read(library, one, hops=2, limit=10)}
    assert {key: item["hops"] for key, item in near.items()} == {str(like): None, str(middle): 1, str(far): 2}
    assert near[str(middle)]["score"] > near[str(far)]["score"]
    assert near[str(like)]["tags"] == 1
    assert str(far) not in {item["resource_id"] for item in neighbors.read(library, one, hops=1, limit=10)}

    resources.delete(library, middle)
    assert str(middle) not in {item["resource_id"] for item in neighbors.read(library, one, hops=2, limit=10)}


def test_neighbours_by_citation_are_found_without_an_embedder_and_the_others_once_it_is_back(
    library: Library, shelf: Shelf
) -> None:
    def no_model() -> Vectors:
        raise EmbedderUnavailable("no model")

    cited = shelf.put("Quantum field theory.", doi="10.1234/far")
    one = shelf.put("Zebras graze on the plain in the morning sun, says doi:10.1234/far.")
    like = shelf.put("Zebras graze on the plain in the evening sun.")
    for made in (one, like):
        embeddings.regenerate(library, made, work=library.work)

    def found(library: Library) -> set[str]:
        return {item["resource_id"] for item in neighbors.read(library, one, hops=1, limit=10)}

    assert found(replace(library, vectors=no_model)) == {str(cited)}
    assert found(library) == {str(cited), str(like)}


def test_no_neighbour_is_found_over_a_document_that_is_deleted(library: Library, shelf: Shelf) -> None:
    """From the moment of its deletion on, not only when its edges are taken away; nor missed when it comes back."""
    far = shelf.put("Quantum field theory.", doi="10.1234/far")
    middle = shelf.put("Cited: doi:10.1234/far", arxiv_id="1406.5823")
    one = shelf.put("Zebras graze, says arXiv:1406.5823.")
    found = {item["resource_id"] for item in neighbors.read(library, one, hops=2, limit=10)}
    assert found == {str(middle), str(far)}
    [kept] = [line for line in archives.export(library) if f'"id":"{middle}"'.encode() in line]

    resources.delete(library, middle)

    assert neighbors.read(library, one, hops=2, limit=10) == []
    archives.import_lines(library, kept)
    assert {item["resource_id"] for item in neighbors.read(library, one, hops=2, limit=10)} == found


def test_neighbours_are_of_one_class_by_the_class_in_force_and_the_tree_as_it_is_now(
    library: Library, shelf: Shelf
) -> None:
    one = shelf.put("Zebras graze on the plain in the morning sun.", classification_code="020")
    like = shelf.put("Zebras graze on the plain in the evening sun.")
    for made in (one, like):
        embeddings.regenerate(library, made, work=library.work)
    assert not neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]

    with library.work() as unit:
        said = {"confidence": 0.9, "classifier": "zero-shot", "built_from": 1}
        unit.session.add(ResourceCategory(resource_id=like, predicted="000", **said))
        unit.emit(EventType.CLASSIFICATION_COMPLETED, {"resource_id": str(like)})
    assert neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]

    category_codes.change(library, Category(code="020", parent="500", label="Libraries"))
    assert not neighbors.read(library, one, hops=1, limit=10)[0]["same_class"]
